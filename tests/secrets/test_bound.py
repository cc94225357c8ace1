"""What becomes of a bound value while its store changes, is in trouble, or takes it back."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import traceback
from collections.abc import AsyncIterator

import pytest

from proxy.errors import ConfigError, Unavailable
from proxy.ports.secrets import (
    Keeping,
    SecretAway,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
    SecretRef,
)
from proxy.secrets import entry as entries
from proxy.secrets.bound import Bound
from proxy.secrets.cache import SecretCache
from proxy.secrets.keeping import SecretsKept
from tests.secrets.cachekit import ScriptedStore

URL = SecretRef("platform/redis", "url")
OLD, NEW = "s3same-0ld", "s3same-n3w"
STALE = 0.3


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> ScriptedStore:
    monkeypatch.setattr(entries, "PAUSE", 0.01)
    return ScriptedStore(Keeping(fresh=0.01, stale_if_error=STALE), url=OLD)


@pytest.fixture
async def secrets(store: ScriptedStore) -> AsyncIterator[SecretsKept]:
    cache = SecretCache("file", store)
    yield SecretsKept({"file": cache})
    await cache.close()


@pytest.fixture
async def bound(secrets: SecretsKept) -> Bound:
    return await secrets.bind(URL)


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


async def asked(store: ScriptedStore, times: int = 3) -> None:
    """Wait until the store was asked so many times more."""
    until = store.asked + times
    async with asyncio.timeout(5):
        while store.asked < until:
            await asyncio.sleep(0.002)


def code_of(bound: Bound) -> str:
    with pytest.raises(Unavailable) as raised:
        _ = bound.current
    return raised.value.code


async def test_a_new_value_has_a_new_version(store: ScriptedStore, bound: Bound) -> None:
    await asked(store)
    assert (bound.current, bound.version) == (OLD, 1)
    store.says = {"url": NEW}
    await asked(store)
    assert (bound.current, bound.version) == (NEW, 2)


async def test_a_question_that_was_under_way_is_not_the_answer(
    secrets: SecretsKept, store: ScriptedStore
) -> None:
    store.hold = asyncio.Event()
    cache = secrets.store()
    asking = asyncio.ensure_future(cache.get(URL.path))
    await asyncio.sleep(0.01)
    reloaded = SecretsKept({"file": cache})
    binding = asyncio.ensure_future(reloaded.bind(URL))
    await asyncio.sleep(0.01)
    hold, store.hold = store.hold, None
    hold.set()
    await asking  # with the old value
    store.says = {"url": NEW}
    assert (await binding).current == NEW


async def test_all_that_bind_to_one_field_hold_the_same(secrets: SecretsKept, bound: Bound) -> None:
    assert await secrets.bind(URL) is bound


@pytest.mark.parametrize(
    "says", [SecretMissing("it is gone"), SecretForbidden("it is gone"), {"other": "it is gone"}]
)
async def test_what_is_taken_back_is_forgotten_at_once(
    store: ScriptedStore, bound: Bound, caplog: pytest.LogCaptureFixture, says: object
) -> None:
    store.says = says  # type: ignore[assignment]
    await asked(store)
    assert code_of(bound) == "secret_unavailable"
    assert bound.version == 2
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1


@pytest.mark.parametrize(
    "says", [SecretAway("it is sealed"), SecretMalformed("no YAML"), RuntimeError(NEW)]
)
async def test_trouble_leaves_the_last_value_for_a_bounded_time(
    store: ScriptedStore, bound: Bound, caplog: pytest.LogCaptureFixture, says: Exception
) -> None:
    store.says = says
    await asked(store)
    assert (bound.current, bound.version) == (OLD, 1)
    await asyncio.sleep(STALE)
    await asked(store)
    assert code_of(bound) == "secret_unavailable"
    told = [each.getMessage() for each in caplog.records if each.name == "brain.secrets"]
    assert [text for text in told if "stays in use" in text or "not used any more" in text] == [
        text for text in told if "platform/redis" in text
    ]
    assert len([text for text in told if "platform/redis" in text]) == 2
    store.says = {"url": OLD}
    await asked(store)
    assert (bound.current, bound.version) == (OLD, 3)


async def test_it_is_followed_no_longer_than_its_snapshot_lives(
    secrets: SecretsKept, store: ScriptedStore, bound: Bound
) -> None:
    secrets.close()
    await asyncio.sleep(0.05)
    before = store.asked
    await asyncio.sleep(0.1)
    assert store.asked == before


async def test_no_value_is_logged_or_shown(
    secrets: SecretsKept, store: ScriptedStore, bound: Bound, caplog: pytest.LogCaptureFixture
) -> None:
    shown = repr(bound) + str(bound) + f"{bound}" + repr(secrets)
    store.says = {"url": NEW}
    await asked(store)
    shown += repr(bound)
    store.says = SecretMissing("it is gone")
    await asked(store)
    try:
        _ = bound.current
    except Unavailable as away:
        shown += "".join(
            traceback.TracebackException.from_exception(away, capture_locals=True).format()
        )
    shown += repr(bound) + caplog.text
    assert OLD not in shown
    assert NEW not in shown


async def test_it_is_not_copied_out(bound: Bound) -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(bound)


# -- stores


async def test_a_store_that_is_away_is_no_bad_file(
    secrets: SecretsKept, store: ScriptedStore
) -> None:
    store.says = SecretAway("it is sealed")
    with pytest.raises(Unavailable, match="it is sealed") as raised:
        await secrets.bind(URL)
    assert raised.value.code == "secret_unavailable"


@pytest.mark.parametrize("says", [SecretMissing("none"), SecretForbidden("no"), {"other": "x"}])
async def test_a_store_that_has_none_refuses_the_file(
    secrets: SecretsKept, store: ScriptedStore, says: object
) -> None:
    store.says = says  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="platform/redis#url") as raised:
        await secrets.bind(URL)
    assert raised.value.hint == "put platform/redis#url there"


async def test_what_is_malformed_at_load_refuses_the_file(
    secrets: SecretsKept, store: ScriptedStore
) -> None:
    store.says = SecretMalformed("odd")
    with pytest.raises(ConfigError, match="odd"):
        await secrets.bind(URL)


@pytest.mark.parametrize(
    ("stores", "reference", "said"),
    [
        ((), URL, "there are no stores"),
        (("file", "env"), URL, "which store"),
        (("file",), SecretRef("a", "b", "vault"), "there is no store 'vault'"),
    ],
)
async def test_a_reference_that_leads_to_no_store_is_refused(
    stores: tuple[str, ...], reference: SecretRef, said: str
) -> None:
    caches = {name: SecretCache(name, ScriptedStore(Keeping(60.0))) for name in stores}
    with pytest.raises(ConfigError, match=said):
        await SecretsKept(caches).bind(reference)


async def test_a_store_that_never_changes_is_asked_once() -> None:
    store = ScriptedStore(Keeping(fresh=float("inf")), url=OLD)
    cache = SecretCache("env", store)
    secrets = SecretsKept({"env": cache})
    assert (await secrets.bind(URL)).current == OLD
    assert (await secrets.bind(URL)).current == OLD
    assert await secrets.not_ready() == {}
    await cache.close()
    assert store.asked == 1


async def test_other_snapshots_keep_what_one_lets_go_of(store: ScriptedStore) -> None:
    cache = SecretCache("file", store)
    first, second = SecretsKept({"file": cache}), SecretsKept({"file": cache})
    await first.bind(URL)
    bound = await second.bind(URL)
    first.close()
    store.says = {"url": NEW}
    await asked(store)
    assert bound.current == NEW
    await cache.close()
