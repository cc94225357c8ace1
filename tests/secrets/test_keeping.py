"""What becomes of a bound value while its store changes, is in trouble, or takes it back."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Mapping

import pytest

from proxy.errors import ConfigError, Unavailable
from proxy.ports.secrets import (
    SecretAway,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
    SecretRef,
)
from proxy.secrets.bound import Bound
from proxy.secrets.keeping import SecretsKept
from proxy.secrets.kept import STALE, Kept

URL = SecretRef("platform/redis", "url")
OLD, NEW = "s3same-0ld", "s3same-n3w"


class Store:
    """Says what the test wants it to."""

    look_again: float | None = None

    def __init__(self, **fields: str) -> None:
        self.says: Mapping[str, str] | Exception = fields
        self.asked = 0

    async def get(self, path: str) -> Mapping[str, str]:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def remedy(self, reference: SecretRef) -> str:
        return f"put {reference} there"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store(url=OLD)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(store: Store, clock: Clock) -> Kept:
    return Kept(store, URL.path, clock=clock)


@pytest.fixture
async def bound(kept: Kept) -> Bound:
    found = await kept.bind(URL)
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def _no_value_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def code_of(bound: Bound) -> str:
    with pytest.raises(Unavailable) as raised:
        _ = bound.current
    return raised.value.code


async def test_a_new_value_has_a_new_version(kept: Kept, store: Store, bound: Bound) -> None:
    assert (bound.current, bound.version) == (OLD, 1)
    await kept.refresh()
    assert bound.version == 1
    store.says = {"url": NEW}
    await kept.refresh()
    assert (bound.current, bound.version) == (NEW, 2)


async def test_all_that_bind_to_one_field_hold_the_same(kept: Kept, bound: Bound) -> None:
    assert await kept.bind(URL) is bound


@pytest.mark.parametrize(
    "says", [SecretMissing("it is gone"), SecretForbidden("it is gone"), {"other": "it is gone"}]
)
async def test_what_is_taken_back_is_forgotten_at_once(
    kept: Kept, store: Store, bound: Bound, caplog: pytest.LogCaptureFixture, says: object
) -> None:
    store.says = says  # type: ignore[assignment]
    for _ in range(3):
        await kept.refresh()
    assert code_of(bound) == "secret_unavailable"
    assert bound.version == 2
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1


@pytest.mark.parametrize(
    "says", [SecretAway("it is sealed"), SecretMalformed("no YAML"), RuntimeError(NEW)]
)
async def test_trouble_leaves_the_last_value_for_a_bounded_time(
    kept: Kept,
    store: Store,
    bound: Bound,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    says: Exception,
) -> None:
    store.says = says
    clock.now += STALE - 1
    await kept.refresh()
    await kept.refresh()
    assert (bound.current, bound.version) == (OLD, 1)
    clock.now += 1
    await kept.refresh()
    await kept.refresh()
    assert code_of(bound) == "secret_unavailable"
    levels = [each.levelname for each in caplog.records]
    assert levels == ["WARNING", "ERROR"]
    store.says = {"url": OLD}
    await kept.refresh()
    assert (bound.current, bound.version) == (OLD, 3)


async def test_the_time_counts_from_the_last_success(
    kept: Kept, store: Store, bound: Bound, clock: Clock
) -> None:
    for _ in range(3):
        clock.now += STALE - 1
        store.says = SecretAway("it is sealed")
        await kept.refresh()
        assert bound.current == OLD
        store.says = {"url": OLD}
        await kept.refresh()


async def test_no_value_is_logged_or_shown(
    kept: Kept, store: Store, bound: Bound, caplog: pytest.LogCaptureFixture
) -> None:
    shown = repr(bound) + str(bound) + f"{bound}" + repr(kept)
    store.says = {"url": NEW}
    await kept.refresh()
    shown += repr(bound)
    store.says = SecretMissing("it is gone")
    await kept.refresh()
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


async def test_a_store_that_is_away_is_no_bad_file(store: Store) -> None:
    store.says = SecretAway("it is sealed")
    with pytest.raises(Unavailable, match="it is sealed") as raised:
        await SecretsKept({"file": store}).bind(URL)
    assert raised.value.code == "secret_unavailable"


@pytest.mark.parametrize(
    "says", [SecretMissing("none"), SecretForbidden("no"), SecretMalformed("odd"), {"other": "x"}]
)
async def test_a_store_that_has_none_refuses_the_file(store: Store, says: object) -> None:
    store.says = says  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="platform/redis#url"):
        await SecretsKept({"file": store}).bind(URL)


async def test_a_missing_field_has_a_remedy(store: Store) -> None:
    store.says = {}
    with pytest.raises(ConfigError) as raised:
        await SecretsKept({"file": store}).bind(URL)
    assert raised.value.hint == "put platform/redis#url there"


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
    with pytest.raises(ConfigError, match=said):
        await SecretsKept({name: Store() for name in stores}).bind(reference)


async def test_a_store_that_never_changes_is_asked_once(store: Store) -> None:
    secrets = SecretsKept({"env": store})
    assert (await secrets.bind(URL)).current == OLD
    assert secrets.not_ready() == {}
    await secrets.close()
    assert store.asked == 1
