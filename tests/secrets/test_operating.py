"""What operators are told of the secrets of a process, and of several."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.ports.secrets import (
    Keeping,
    Lease,
    Secret,
    SecretAway,
    SecretForbidden,
    SecretMissing,
    SecretRef,
    StoreState,
)
from proxy.secrets import operating
from proxy.secrets.bound import Bound
from proxy.secrets.cache import SecretCache
from proxy.secrets.entry import Entry
from proxy.secrets.keeping import SecretsKept
from proxy.secrets.lines import Lines
from proxy.secrets.telling import state_of
from tests.secrets.cachekit import Clock, ScriptedStore

VALUE = "s3same-v4lue"


class Vaultlike(ScriptedStore):
    """A store with a token of its own."""

    fares = StoreState(token_left=70.0, logins=2, renewals=5)

    def state(self) -> StoreState:
        return self.fares


class Kit:
    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Vaultlike(Keeping(fresh=60.0), token=VALUE)
        self.cache = SecretCache("vault", self.store, clock=self.clock)
        self.kept = SecretsKept({"vault": self.cache})

    async def get(self, path: str, says: Any = None) -> None:
        """Have a path kept, with what the store says of it."""
        self.store.says = says if says is not None else {"token": VALUE}
        try:
            await self.cache.get(path)
        except (SecretMissing, SecretForbidden, SecretAway):
            assert isinstance(says, Exception)

    def status(self, **asked: str) -> Any:
        code, found = operating.status(self.kept, asked)
        assert code == 200
        json.dumps(found, allow_nan=False)
        assert VALUE not in str(found)
        return found

    async def refresh(self, path: str, **asked: str) -> tuple[int, Any]:
        code, found = await operating.refresh(self.kept, {"path": path, **asked})
        assert VALUE not in str(found)
        return code, found


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    made = Kit()
    yield made
    await made.cache.close()


async def test_a_path_tells_version_age_when_it_is_asked_again_and_who_is_bound(kit: Kit) -> None:
    kit.store.says = Secret({"token": VALUE}, version=7)
    await kit.kept.bind(SecretRef("platform/x", "token"))
    kit.clock.now += 10
    (row,) = kit.status()["secrets"]
    assert row == {
        "store": "vault",
        "path": "platform/x",
        "state": "ok",
        "bound": ["token"],
        "version": 7,
        "age": 10.0,
        "again_in": 35.0,  # three quarters of a minute after it was read
        "lease_left": None,
        "error": None,
    }


async def test_a_lease_tells_what_is_left_of_it(kit: Kit) -> None:
    await kit.get("database/creds/app", Secret({"token": VALUE}, lease=Lease("id", 90.0, True)))
    kit.clock.now += 30
    found = kit.status()
    assert found["secrets"][0]["lease_left"] == 60.0
    assert found["stores"][0]["leases"] == 1


async def test_a_store_tells_its_token_and_what_it_was_asked(kit: Kit) -> None:
    await kit.get("a/b")
    await kit.get("a/c", SecretAway("the server is sealed"))
    kit.store.fares = StoreState("the server is sealed", 12.34, 2, 5)
    (store,) = kit.status()["stores"]
    assert store == {
        "name": "vault",
        "why": "the server is sealed",
        "token_left": 12.3,
        "logins": 2,
        "renewals": 5,
        "questions": {"read": 1, "failed": 1},
        "paths": 2,
        "leases": 0,
        "in_trouble": 1,
    }


async def test_trouble_comes_first_and_a_caller_without_a_secret_is_none(kit: Kit) -> None:
    await kit.get("t/well")
    await kit.get("t/absent", SecretMissing("there is no such path"))
    await kit.get("t/denied", SecretForbidden("permission denied"))
    await kit.get("t/old")
    kit.clock.now += 61
    await kit.get("t/old", SecretAway("the server is sealed"))
    found = kit.status()
    assert [(row["path"], row["state"]) for row in found["secrets"]] == [
        ("t/denied", "forbidden"),
        ("t/old", "stale"),
        ("t/absent", "missing"),
        ("t/well", "ok"),
    ]
    assert found["secrets"][1]["error"] == "the server is sealed"
    assert found["secrets"][1]["again_in"] == 1.0
    assert found["stores"][0]["in_trouble"] == 2


async def test_what_nobody_has_asked_for_since_the_store_is_back_is_old_and_no_trouble(
    kit: Kit,
) -> None:
    await kit.get("t/used")
    await kit.get("t/idle")
    kit.clock.now += 61
    for path in ("t/used", "t/idle"):
        await kit.get(path, SecretAway("the server is sealed"))
    await kit.get("t/new", SecretAway("the server is sealed"))
    await kit.get("t/denied", SecretForbidden("permission denied"))
    assert kit.status()["stores"][0]["in_trouble"] == 4
    kit.clock.now += 10  # nothing was asked: nobody knows whether it is back
    assert kit.status()["stores"][0]["in_trouble"] == 4
    kit.store.says = {"token": VALUE}
    await kit.cache.refresh("t/used")
    found = kit.status()
    assert {row["path"]: row["state"] for row in found["secrets"]} == {
        "t/denied": "old",
        "t/idle": "old",
        "t/new": "old",
        "t/used": "ok",
    }
    assert found["secrets"][0]["error"] == "permission denied"
    assert found["stores"][0]["in_trouble"] == 0


def test_what_is_bound_is_in_trouble_until_it_is_there_again() -> None:
    bound = Entry("t/bound", Lines())
    bound.refuse(SecretAway("the server is sealed"), Keeping(fresh=60.0), 0.0)
    assert state_of(bound, answered=10.0) == "old"
    bound.bound.append(Bound(SecretRef("t/bound", "token"), VALUE))
    assert state_of(bound, answered=10.0) == "away"


async def test_what_is_listed_is_bounded_and_can_be_chosen(kit: Kit) -> None:
    for number in range(20):
        await kit.get(f"tenants/t{number:02}/crm")
    await kit.get("platform/x")
    found = kit.status(most="3", prefix="tenants/t1")
    assert [row["path"] for row in found["secrets"]] == [f"tenants/t1{n}/crm" for n in range(3)]
    assert found["matching"] == 10


@pytest.mark.parametrize("most", ["0", "10001", "-1", "many", "1.5", ""])
def test_a_number_that_makes_no_sense_is_told(most: str) -> None:
    code, found = operating.status(SecretsKept({}), {"most": most})
    assert code == 400
    assert "from 1 to 10000" in found["error"]


async def test_what_is_never_asked_again_has_no_time() -> None:
    store = ScriptedStore(Keeping(fresh=math.inf), token=VALUE)
    cache = SecretCache("env", store, clock=Clock())
    await cache.get("a/b")
    _, found = operating.status(SecretsKept({"env": cache}), {})
    assert found["secrets"][0]["again_in"] is None
    assert found["stores"][0]["token_left"] is None
    json.dumps(found, allow_nan=False)
    await cache.close()


async def test_ten_thousand_paths_are_told_in_a_moment(kit: Kit) -> None:
    for number in range(10_000):
        await kit.get(f"tenants/t{number}/crm")
    async with asyncio.timeout(1):
        found = await asyncio.to_thread(operating.status, kit.kept, {})
    assert (len(found[1]["secrets"]), found[1]["matching"]) == (100, 10_000)


# -- refresh


async def test_a_refresh_asks_whatever_is_kept_and_tells_the_version(kit: Kit) -> None:
    await kit.get("a/b", Secret({"token": "old"}, version=1))
    kit.store.says = Secret({"token": VALUE}, version=2)
    code, found = await kit.refresh("a/b")
    assert (code, found["state"], found["version"], found["changed"]) == (200, "ok", 2, True)
    code, found = await kit.refresh("a/b")
    assert (found["version"], found["changed"]) == (2, False)
    assert kit.store.asked == 3


async def test_a_refresh_tells_the_error_and_drops_what_the_store_no_longer_has(kit: Kit) -> None:
    await kit.get("a/b")
    kit.store.says = SecretAway("the server is sealed")
    _, found = await kit.refresh("a/b")
    assert (found["state"], found["error"]) == ("stale", "the server is sealed")
    kit.store.says = SecretMissing("there is no such path")
    code, found = await kit.refresh("a/b")
    assert (code, found["state"], found["error"]) == (200, "missing", "there is no such path")
    entry = kit.cache.kept("a/b")
    assert entry is not None
    assert entry.secret is None


async def test_a_refresh_asks_for_nothing_that_is_not_kept(kit: Kit) -> None:
    code, found = await kit.refresh("a/unknown")
    assert (code, found["store"], kit.store.asked) == (404, None, 0)
    assert kit.cache.kept("a/unknown") is None
    code, found = await kit.refresh("a/b", store="other")
    assert code == 400
    assert found["error"] == "there is no store 'other'; known: vault"


async def test_a_refresh_asks_which_store_where_two_keep_the_path(kit: Kit) -> None:
    other = SecretCache("file", ScriptedStore(Keeping(fresh=60.0), token=VALUE))
    kept = SecretsKept({"vault": kit.cache, "file": other})
    await kit.get("a/b")
    await other.get("a/b")
    code, found = await operating.refresh(kept, {"path": "a/b"})
    assert (code, found["error"]) == (400, "vault and file both keep it: name one with --store")
    code, found = await operating.refresh(kept, {"path": "a/b", "store": "file"})
    assert (code, found["store"]) == (200, "file")
    await other.close()


# -- several processes


async def test_of_several_processes_the_worst_is_told(kit: Kit) -> None:
    await kit.get("a/b", Secret({"token": VALUE}, version=1))
    kit.clock.now += 20
    one = kit.status()
    kit.store.says = Secret({"token": VALUE}, version=2)
    await kit.cache.refresh("a/b")
    await kit.get("a/c", SecretForbidden("permission denied"))
    other = kit.status()
    found = operating.status_of_all([one, other], {})
    denied, row = found["secrets"]
    assert (denied["path"], denied["state"]) == ("a/c", "forbidden")
    assert (row["versions"], row["age"], row["again_in"]) == ([1, 2], 20.0, 25.0)
    (store,) = found["stores"]
    assert (store["logins"], store["paths"], store["in_trouble"]) == (4, 3, 1)
    assert store["token_left"] == 70.0
    assert store["questions"] == {"read": 3, "failed": 1}
    assert found["matching"] == 2
    assert operating.status_of_all([one, other], {"most": "1"})["secrets"] == [denied]


async def test_of_several_processes_those_that_keep_it_answer_a_refresh(kit: Kit) -> None:
    await kit.get("a/b")
    _, good = await kit.refresh("a/b")
    _, unknown = await kit.refresh("a/unknown")
    told = operating.refreshed_of_all([unknown, good, good], {})
    assert (told["state"], told["kept_by"]) == ("ok", 2)
    kit.store.says = SecretMissing("there is no such path")
    _, bad = await kit.refresh("a/b")
    assert operating.refreshed_of_all([good, bad], {})["error"] == "there is no such path"
