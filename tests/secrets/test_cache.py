"""What a cache gives while its store changes, is slow, is in trouble, or takes something back."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import pickle
import traceback
from collections.abc import AsyncIterator

import pytest

from proxy.ports.secrets import (
    Keeping,
    Secret,
    SecretAway,
    SecretError,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
)
from proxy.redaction import SECRETS
from proxy.secrets import asking
from proxy.secrets import cache as caching
from proxy.secrets.cache import AGAIN_BURST, AGAIN_PERIOD, SecretCache
from tests.secrets.cachekit import Clock, ScriptedStore

PATH = "tenants/acme/crm"
OLD, NEW = "s3same-0ld", "s3same-n3w"
KEEPING = Keeping(fresh=60.0, stale_if_error=3600.0, negative=5.0, most=4)

TAKEN_BACK = [SecretMissing("it is gone"), SecretForbidden("policy")]
TROUBLE = [SecretAway("it is sealed"), SecretMalformed("no YAML"), RuntimeError(NEW)]


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore(KEEPING, key=OLD)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def kept(store: ScriptedStore, clock: Clock) -> AsyncIterator[SecretCache]:
    made = SecretCache("vault", store, clock=clock)
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


async def value(kept: SecretCache, path: str = PATH) -> str:
    secret = (await kept.get(path)).secret
    assert secret is not None
    return secret.fields["key"]


async def refused(kept: SecretCache, path: str = PATH) -> SecretError:
    with pytest.raises(SecretError) as raised:
        await kept.get(path)
    return raised.value


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_value_is_asked_for_once_while_it_is_fresh(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    assert [await value(kept) for _ in range(3)] == [OLD] * 3
    clock.now += 0.7 * 60
    assert await value(kept) == OLD
    assert store.asked == 1


async def test_it_is_renewed_behind_before_it_is_old(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    await value(kept)
    store.says = {"key": NEW}
    clock.now += 0.8 * 60
    assert await value(kept) == OLD  # nobody waits
    await settled()
    assert await value(kept) == NEW
    assert store.asked == 2


async def test_what_is_old_is_never_served_without_asking(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    await value(kept)
    store.says = {"key": NEW}
    clock.now += 60
    assert await value(kept) == NEW


@pytest.mark.parametrize("says", TAKEN_BACK)
async def test_a_deleted_value_is_refused_within_its_time_and_never_served_again(
    kept: SecretCache, store: ScriptedStore, clock: Clock, says: SecretError
) -> None:
    await value(kept)
    store.says = says
    clock.now += 60
    assert type(await refused(kept)) is type(says)
    store.says = SecretAway("it is sealed")
    clock.now += 6
    assert isinstance(await refused(kept), SecretAway)


@pytest.mark.parametrize("says", TAKEN_BACK)
async def test_a_no_is_believed_for_a_moment(
    kept: SecretCache, store: ScriptedStore, clock: Clock, says: SecretError
) -> None:
    store.says = says
    for _ in range(3):
        assert str(await refused(kept)) == str(says)
    assert store.asked == 1
    store.says = {"key": NEW}
    clock.now += 5
    assert await value(kept) == NEW


@pytest.mark.parametrize("says", TROUBLE)
async def test_trouble_leaves_the_last_value_for_a_bounded_time(
    kept: SecretCache, store: ScriptedStore, clock: Clock, says: Exception
) -> None:
    await value(kept)
    store.says = says
    clock.now += 3599
    assert await value(kept) == OLD
    clock.now += 1.0
    await refused(kept)
    store.says = {"key": NEW}
    clock.now += 1.0
    assert await value(kept) == NEW


async def test_the_time_counts_from_the_last_success(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    for _ in range(3):
        store.says = {"key": OLD}
        clock.now += 60
        assert await value(kept) == OLD
        await settled()
        store.says = SecretAway("it is sealed")
        clock.now += 3500
        assert await value(kept) == OLD


async def test_a_store_in_trouble_is_asked_behind_the_requests(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    await value(kept)
    store.says = SecretAway("it is sealed")
    clock.now += 60
    await value(kept)
    store.hold = asyncio.Event()
    clock.now += 1
    async with asyncio.timeout(0.2):
        assert [await value(kept) for _ in range(3)] == [OLD] * 3
    await settled()
    assert store.asked == 3


async def test_a_thousand_who_ask_at_once_cause_one_question(
    kept: SecretCache, store: ScriptedStore
) -> None:
    store.hold = asyncio.Event()
    asking = [asyncio.ensure_future(value(kept)) for _ in range(1000)]
    await settled()
    store.hold.set()
    assert await asyncio.gather(*asking) == [OLD] * 1000
    assert store.asked == 1


async def test_one_who_leaves_does_not_end_the_question(
    kept: SecretCache, store: ScriptedStore
) -> None:
    store.hold = asyncio.Event()
    first, second = (asyncio.ensure_future(value(kept)) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    store.hold.set()
    assert await second == OLD
    assert store.asked == 1


async def test_a_store_that_is_slow_is_not_waited_for(
    kept: SecretCache, store: ScriptedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "WAIT", 0.02)
    store.hold = asyncio.Event()
    assert "does not answer" in str(await refused(kept))
    store.hold.set()
    await settled()
    assert await value(kept) == OLD  # what it says late counts
    store.hold = asyncio.Event()
    clock.now += 60
    assert await value(kept) == OLD


async def test_an_answer_that_takes_longer_than_it_is_fresh_is_used_by_who_waited(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    store.hold = asyncio.Event()
    waiting = asyncio.ensure_future(value(kept))
    await settled()
    clock.now += 61
    store.hold.set()
    assert await waiting == OLD


async def test_a_store_that_hangs_is_waited_for_by_the_first_and_briefly_by_the_next_until_it_answers(
    kept: SecretCache, store: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "WAIT", 0.2)
    monkeypatch.setattr(asking, "BRIEFLY", 0.01)
    loop = asyncio.get_running_loop()

    async def waited(path: str) -> float:
        began = loop.time()
        with pytest.raises(SecretAway):
            await kept.get(path)
        return loop.time() - began

    store.hold = asyncio.Event()
    assert await waited("one") > 0.15
    assert await waited("two") < 0.15
    store.hold.set()
    await settled()
    store.hold = asyncio.Event()
    assert await waited("three") > 0.15


async def test_many_new_callers_do_not_pile_up_before_a_store_that_hangs(
    kept: SecretCache, store: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "WAIT", 0.02)
    monkeypatch.setattr(asking, "BRIEFLY", 0.01)
    monkeypatch.setattr(asking, "MOST_OF_HANGING", 3)
    store.hold = asyncio.Event()
    for number in range(10):
        assert isinstance(await refused(kept, f"tenants/t{number}/crm"), SecretAway)
    assert store.asked == 3
    assert len(list(kept.entries)) == KEEPING.most
    store.hold.set()
    await settled()
    assert await value(kept, "tenants/t0/crm") == OLD
    assert await value(kept, "tenants/new/crm") == OLD


# -- again: the upstream refused what is kept


async def test_a_refused_value_is_asked_for_once_by_all(
    kept: SecretCache, store: ScriptedStore
) -> None:
    used = (await kept.get(PATH)).secret
    assert used is not None
    store.says = {"key": NEW}
    found = await asyncio.gather(*[kept.again(PATH, used) for _ in range(100)])
    assert {entry.secret.fields["key"] for entry in found if entry.secret} == {NEW}
    assert (await kept.again(PATH, used)).secret is found[0].secret
    assert store.asked == 2


async def test_a_value_that_did_not_change_stays_the_same_object(
    kept: SecretCache, store: ScriptedStore
) -> None:
    used = (await kept.get(PATH)).secret
    assert used is not None
    assert (await kept.again(PATH, used)).secret is used
    store.says = Secret({"key": OLD}, version=2)
    assert (await kept.again(PATH, used)).secret is not used


async def test_an_answer_that_was_under_way_already_is_not_believed(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    used = (await kept.get(PATH)).secret
    assert used is not None
    clock.now += 50
    store.hold = asyncio.Event()
    await kept.get(PATH)  # asks behind
    again = asyncio.ensure_future(kept.again(PATH, used))
    await settled()
    hold, store.hold = store.hold, None
    hold.set()  # with the old value
    await again
    await settled()
    assert store.asked == 3


async def test_what_was_read_before_a_write_does_not_undo_it(
    kept: SecretCache, store: ScriptedStore
) -> None:
    used = (await kept.get(PATH)).secret
    assert used is not None
    store.hold = asyncio.Event()
    reading = asyncio.ensure_future(kept.refresh(PATH))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await kept.put(PATH, {"key": NEW}, used)
    store.hold.set()
    await reading
    assert await value(kept) == NEW


async def test_refusals_that_callers_provoke_cause_a_bounded_number_of_questions(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    used = (await kept.get(PATH)).secret
    assert used is not None
    for _ in range(100):
        await kept.again(PATH, used)
    assert store.asked == 1 + AGAIN_BURST
    clock.now += AGAIN_PERIOD
    for _ in range(100):
        await kept.again(PATH, used)
    assert store.asked == 2 + AGAIN_BURST


# -- bounds


async def test_the_path_that_was_asked_for_least_recently_is_forgotten(
    kept: SecretCache, store: ScriptedStore
) -> None:
    for name in "abcde":
        await value(kept, name)
    assert [entry.path for entry in kept.entries] == list("bcde")
    await value(kept, "a")
    assert store.asked == 6


async def test_who_holds_what_was_forgotten_asks_anew(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    held = await kept.get("a")
    for name in "bcde":
        await value(kept, name)
    assert held.secret is None
    assert held.until < clock.now


async def test_paths_that_are_missing_are_bounded_too(
    kept: SecretCache, store: ScriptedStore
) -> None:
    store.says = SecretMissing("none")
    for number in range(20):
        await refused(kept, f"tenants/t{number}/crm")
    assert len(list(kept.entries)) == KEEPING.most


@pytest.mark.parametrize("error", [SecretMissing("none"), SecretAway("it is sealed")])
async def test_who_asks_for_what_there_is_not_pushes_nobodys_secret_out(
    kept: SecretCache, store: ScriptedStore, error: SecretError
) -> None:
    assert await value(kept) == OLD
    store.says = error
    for number in range(20):
        assert type(await refused(kept, f"tenants/t{number}/crm")) is type(error)
    assert await value(kept) == OLD


# -- nothing shows a value


async def test_nothing_of_it_shows_a_value(
    kept: SecretCache, store: ScriptedStore, caplog: pytest.LogCaptureFixture
) -> None:
    entry = await kept.get(PATH)
    secret = entry.secret
    assert secret is not None
    shown = "".join(f"{each!r} {each} {each:}" for each in (kept, entry, secret, kept.counts))
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            attempt(secret)
    store.says = RuntimeError(NEW)
    try:
        await kept.refresh(PATH)
        await kept.get("other")
    except SecretError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown += "".join(told.format())
    assert OLD not in shown + caplog.text
    assert NEW not in shown + caplog.text


async def test_no_line_of_the_log_shows_what_is_kept(
    kept: SecretCache, store: ScriptedStore
) -> None:
    await value(kept)
    assert SECRETS.hidden(f"X-Key: {OLD}") == "X-Key: ********"
    store.says = {"key": NEW}
    await kept.refresh(PATH)
    assert NEW not in SECRETS.hidden(f"X-Key: {NEW}")
    await kept.close()
    assert SECRETS.hidden(f"{OLD} {NEW}") == f"{OLD} {NEW}"


async def test_questions_are_counted_by_what_came_of_them(
    kept: SecretCache, store: ScriptedStore
) -> None:
    await value(kept)
    store.says = SecretMissing("none")
    await refused(kept, "other")
    assert dict(kept.counts.outcomes) == {"read": 1, "failed": 1}
    assert sum(kept.counts.classes) == 2


async def test_its_end_is_the_stores_end(store: ScriptedStore) -> None:
    kept = SecretCache("vault", store)
    await kept.get(PATH)
    await kept.close()
    assert store.closed
    assert list(kept.entries) == []


# -- what is told


async def test_a_store_that_lets_somebody_wait_is_not_ready_until_it_says_something(
    kept: SecretCache, store: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "WAIT", 0.02)
    assert await kept.ready() is None
    store.hold = asyncio.Event()
    with pytest.raises(SecretAway):
        await value(kept)
    assert await kept.ready() == kept.state().why == "the store 'vault' does not answer"
    store.hold.set()
    await asyncio.sleep(0.01)
    assert await kept.ready() is None
    assert kept.state().why is None


@pytest.mark.parametrize("error", TAKEN_BACK, ids=lambda error: type(error).__name__)
async def test_a_path_that_is_gone_is_told_once_and_so_is_its_return(
    kept: SecretCache,
    store: ScriptedStore,
    error: SecretError,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await value(kept) == OLD
    store.says = error
    for _ in range(3):
        with pytest.raises(type(error)):
            await kept.refresh(PATH)
    store.says = {"key": NEW}
    for _ in range(3):
        await kept.refresh(PATH)
    assert [each for each in caplog.messages if PATH in each] == [
        f"secret {PATH}: {error}; it is not used any more",
        f"secret {PATH}: the store gives it again",
    ]
    assert NEW not in caplog.text


async def test_of_many_paths_that_are_gone_twenty_are_told_and_how_many_more(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = ScriptedStore(Keeping(fresh=60.0), key=OLD)
    kept = SecretCache("vault", store, clock=clock)
    paths = [f"tenants/t{number}" for number in range(50)]
    for path in [*paths, "tenants/none"]:
        store.says = SecretMissing("none") if path.endswith("none") else {"key": OLD}
        with contextlib.suppress(SecretMissing):
            await kept.get(path)
    store.says = SecretForbidden("policy")
    for path in paths:
        with pytest.raises(SecretForbidden):
            await kept.refresh(path)
    await kept.close()
    told = [each for each in caplog.messages if "policy" in each]
    assert len(told) == 20
    assert "30 more lines like these were left out" in caplog.text
    assert "tenants/none" not in caplog.text
