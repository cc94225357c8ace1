"""`basic` by itself: names, passwords, hashes, and how few are checked at once."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher

from plugins.basic import Basic, checking
from plugins.basic.hashes import fault_of, matches
from proxy.testing import OptionsError, call, check_plugin, make, running

PASSWORD = "correct: horse ä"


@cache
def argon2(password: str = PASSWORD) -> str:
    return PasswordHasher(time_cost=5, memory_cost=7 * 1024, parallelism=1).hash(password)


@cache
def by_bcrypt(password: str = PASSWORD) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()


def sent(name: str, password: str, scheme: str = "Basic ") -> dict[str, str]:
    return {"Authorization": scheme + base64.b64encode(f"{name}:{password}".encode()).decode()}


def options(**more: Any) -> Mapping[str, Any]:
    users = [
        {"name": "ops", "hash": argon2(), "tenant": "acme", "roles": ["Admin"]},
        {"name": "ci", "hash": by_bcrypt("other")},
    ]
    return {"users": users, **more}


async def test_a_user_is_known_by_name_and_password() -> None:
    async with running(Basic, options()) as plugin:
        called = await call(plugin, headers=sent("ops", PASSWORD))
        caller = called.exchange.principal
        assert caller is not None
        assert (caller.subject, caller.tenant, caller.roles) == ("ops", "acme", {"Admin"})
        assert called.outgoing.header("Authorization") is None
        assert (await call(plugin, headers=sent("ci", "other", "bAsIc  "))).reached


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ops", "wrong"),
        ("ops", ""),
        ("ops", "other"),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("ci", "x" * 80),
    ],
)
async def test_anybody_else_is_not(name: str, password: str) -> None:
    called = await call(Basic, options=options(), headers=sent(name, password))
    assert called.answer.status == 401
    assert called.answer.header("WWW-Authenticate") == 'Basic realm="brain", charset="UTF-8"'
    assert not called.reached


@pytest.mark.parametrize(
    "value",
    [
        "Basic ",
        "Basic !!!!",
        "Basic b3Bz",
        "Basic b3BzOv8=",  # no UTF-8
        "Basic b3BzOmEAYg==",  # a NUL
        "Basic b3Bz" + "Onh4" * 700,
    ],
)
async def test_what_is_no_name_and_password_is_refused_unchecked(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "matches", lambda *_: pytest.fail("it was checked"))
    called = await call(Basic, options=options(), headers={"Authorization": value})
    assert called.answer.status == 401


async def test_two_lines_are_refused_and_other_schemes_are_none_of_its_business() -> None:
    async with running(Basic, options()) as plugin:
        line = ("Authorization", sent("ops", PASSWORD)["Authorization"])
        assert (await call(plugin, headers=[line, line])).answer.status == 401
        both = [line, ("Authorization", "Bearer x")]
        assert (await call(plugin, headers=both)).answer.status == 401
        for other in ("Bearer x", "Basically", ""):
            called = await call(plugin, headers={"Authorization": other}, optional=True)
            assert called.reached
            assert called.exchange.principal is None


async def test_an_unknown_name_costs_what_a_wrong_password_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[str] = []

    def count(text: str, password: str) -> bool:
        checked.append(text)
        return matches(text, password)

    monkeypatch.setattr(checking, "matches", count)
    async with running(Basic, options()) as plugin:
        await call(plugin, headers=sent("nobody", "wrong"))
        await call(plugin, headers=sent("ops", "wrong2"))
        assert len(checked) == 2
        # What is the password of another one lets nobody in.
        assert (await call(plugin, headers=sent("ops", PASSWORD))).reached
        assert not (await call(plugin, headers=sent("nobody", PASSWORD))).reached


async def test_a_good_password_is_remembered_for_a_while_and_a_bad_one_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = 0

    def count(text: str, password: str) -> bool:
        nonlocal checks
        checks += 1
        return matches(text, password)

    monkeypatch.setattr(checking, "matches", count)
    clock = [0.0]

    class Timed(Basic):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given, now=lambda: clock[0])

    async with running(Timed, options(remember="10s")) as plugin:
        for _ in range(5):
            assert (await call(plugin, headers=sent("ops", PASSWORD))).reached
        assert checks == 1
        clock[0] = 10.0
        assert (await call(plugin, headers=sent("ops", PASSWORD))).reached
        assert checks == 2
        for _ in range(2):
            await call(plugin, headers=sent("ops", "wrong"))
        assert checks == 4


async def test_few_are_checked_at_once_few_wait_and_the_same_is_checked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, lock, now, most = threading.Event(), threading.Lock(), [0], [0]

    def slow(text: str, password: str) -> bool:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        gate.wait(5)
        with lock:
            now[0] -= 1
        return password == PASSWORD

    monkeypatch.setattr(checking, "matches", slow)
    async with running(Basic, options(checks=2)) as plugin:
        wrong = [
            asyncio.ensure_future(
                call(plugin, headers=sent("ops", f"w{n}"), client=f"198.51.100.{n}")
            )
            for n in range(30)
        ]
        await asyncio.sleep(0.1)
        done = [task.result() for task in wrong if task.done()]
        assert [called.answer.status for called in done] == [503] * 12
        assert done[0].answer.header("Retry-After") == "1"
        gate.set()
        assert {called.answer.status for called in await asyncio.gather(*wrong)} == {401, 503}
        gate.clear()
        same = [
            asyncio.ensure_future(call(plugin, headers=sent("ops", PASSWORD))) for _ in range(30)
        ]
        await asyncio.sleep(0.1)
        assert now[0] == 1
        same[0].cancel()
        gate.set()
        ended = await asyncio.gather(*same[1:])
        assert {called.answer.status for called in ended} == {200}
    assert most[0] == 2


@pytest.mark.parametrize(
    ("headers", "ambient"),
    [
        ({}, False),
        ({"Origin": "https://brain.example.com"}, True),
        ({"Origin": "null"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
    ],
)
async def test_a_browser_tells_that_a_page_may_be_behind_a_request_and_a_tool_does_not(
    headers: dict[str, str], ambient: bool
) -> None:
    async with running(Basic, options()) as plugin:
        for _ in range(2):  # checked, and remembered
            called = await call(plugin, headers={**sent("ops", PASSWORD), **headers})
            assert called.exchange.principal is not None
            assert called.exchange.principal.ambient is ambient


@pytest.mark.parametrize(
    ("flood", "other"),
    [
        ("198.51.100.1", "198.51.100.2"),
        ("2001:db8:0:1::{n:x}", "2001:db8:0:2::1"),
        ("fe80::{n:x}%eth0", "2001:db8::1"),
        ("::ffff:198.51.100.1", "::ffff:198.51.100.2"),
    ],
)
async def test_one_client_takes_half_of_the_places_at_most(
    flood: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(checking, "matches", lambda *_: gate.wait(5))
    async with running(Basic, options(checks=2)) as plugin:
        asked = [
            asyncio.ensure_future(
                call(plugin, headers=sent("ops", f"w{n}"), client=flood.format(n=n))
            )
            for n in range(30)
        ]
        await asyncio.sleep(0.1)
        refused = [task.result().json()["code"] for task in asked if task.done()]
        assert refused == ["password_checks_busy"] * 21
        good = asyncio.ensure_future(call(plugin, headers=sent("ops", PASSWORD), client=other))
        await asyncio.sleep(0.05)
        assert not good.done()
        gate.set()
        assert (await good).reached
        await asyncio.gather(*asked)
        assert (await call(plugin, headers=sent("ops", "w"), client=flood.format(n=1))).reached


async def test_a_hash_may_be_kept_elsewhere_and_changes_there() -> None:
    store = {"tools/ops": {"hash": argon2()}}
    users = [{"name": "ops", "hash": {"secret": "tools/ops", "field": "hash"}}]
    async with running(Basic, {"users": users}, store=store) as plugin:
        assert (await call(plugin, headers=sent("ops", PASSWORD))).reached
        store["tools/ops"]["hash"] = by_bcrypt("new")
        await asyncio.sleep(0.2)
        assert (await call(plugin, headers=sent("ops", "new"))).reached
        assert not (await call(plugin, headers=sent("ops", PASSWORD))).reached
        store["tools/ops"]["hash"] = "plain"
        await asyncio.sleep(0.2)
        assert (await call(plugin, headers=sent("ops", "plain"))).answer.status == 503


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("secret", "no hash"),
        ("$1$abcdefgh$abcdefghijklmnopqrstuv", "no hash"),
        ("$6$rounds=5000$abc$def", "no hash"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "no hash"),
        ("$argon2i$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMg$" + "A" * 43, "no hash"),
        ("$argon2id$v=19$m=1024,t=9,p=1$c29tZXNhbHQxMg$" + "A" * 43, "too cheap"),
        ("$argon2id$v=19$m=19456,t=1,p=1$c29tZXNhbHQxMg$" + "A" * 43, "too cheap"),
        ("$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQxMg$" + "A" * 43, "256 MiB"),
        ("$2b$09$" + "A" * 53, "too cheap"),
        ("$2b$31$" + "A" * 53, "seconds"),
        ("$2b$12$" + "A" * 52, "no hash"),
        (argon2() + "\n", "no hash"),
    ],
)
def test_weak_and_foreign_hashes_are_refused_with_the_way_to_a_good_one(
    text: str, why: str
) -> None:
    assert why in (fault_of(text) or "")
    with pytest.raises(OptionsError) as refused:
        make(Basic, {"users": [{"name": "ops", "hash": text}]})
    assert text not in str(refused.value)


@pytest.mark.parametrize("text", [argon2(), by_bcrypt(), PasswordHasher().hash("x")])
def test_good_hashes_are_taken(text: str) -> None:
    assert fault_of(text) is None


async def test_it_does_what_every_plugin_must() -> None:
    await check_plugin(Basic, options())
