"""Secrets that were made for us, for a time: renewed, replaced before they end, given back."""

from __future__ import annotations

import asyncio

import pytest

from proxy.ports.secrets import Keeping, Lease, Secret, SecretAway, SecretError, SecretMissing
from proxy.secrets import cache as caching
from proxy.secrets.cache import SecretCache
from tests.secrets.cachekit import Clock, ScriptedStore

PATH = "database/creds/crm"


def leased(number: int, seconds: float = 100.0, *, renewable: bool = True) -> Secret:
    return Secret({"user": f"v-{number}"}, lease=Lease(f"lease-{number}", seconds, renewable))


@pytest.fixture
def store() -> ScriptedStore:
    made = ScriptedStore(Keeping(fresh=5.0, stale_if_error=3600.0, most=2))
    made.says = leased(1)
    made.renews = Lease("lease-1", 100.0, renewable=True)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(store: ScriptedStore, clock: Clock) -> SecretCache:
    return SecretCache("vault", store, clock=clock)


async def user(kept: SecretCache, path: str = PATH) -> str:
    secret = (await kept.get(path)).secret
    for _ in range(5):
        await asyncio.sleep(0)
    assert secret is not None
    return secret.fields["user"]


async def test_each_question_would_make_another_so_none_is_asked_while_a_lease_lives(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    await user(kept)
    clock.now += 60  # many times `fresh`
    assert await user(kept) == "v-1"
    assert (store.asked, store.renewed) == (1, [])


async def test_a_lease_is_renewed_at_two_thirds_and_the_secret_stays_the_same(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    before = (await kept.get(PATH)).secret
    for _ in range(4):
        clock.now += 67
        await user(kept)
    assert (await kept.get(PATH)).secret is before
    assert (store.asked, store.renewed) == (1, ["lease-1"] * 4)


@pytest.mark.parametrize(
    "renews", [Lease("lease-1", 30.0, renewable=True), SecretMissing("no such lease")]
)
async def test_a_lease_that_is_not_prolonged_is_replaced_before_it_ends(
    kept: SecretCache, store: ScriptedStore, clock: Clock, renews: Lease | SecretError
) -> None:
    await user(kept)
    store.renews, store.says = renews, leased(2)
    clock.now += 70
    assert await user(kept) == "v-1"
    assert await user(kept) == "v-2"


async def test_a_lease_that_can_not_be_renewed_is_replaced(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    store.says = leased(1, renewable=False)
    await user(kept)
    store.says = leased(2)
    clock.now += 67
    await user(kept)
    assert await user(kept) == "v-2"
    assert store.renewed == []


async def test_no_trouble_makes_a_lease_longer(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    await user(kept)
    store.says = store.renews = SecretAway("it is sealed")
    clock.now += 94
    assert await user(kept) == "v-1"
    clock.now += 2
    with pytest.raises(SecretAway):
        await kept.get(PATH)


async def test_one_that_nobody_used_is_not_renewed(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    await user(kept)
    store.says = leased(2)
    clock.now += 1000
    assert await user(kept) == "v-2"
    assert store.renewed == []


async def test_with_another_token_leases_are_read_again_before_the_old_one_ends(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    await user(kept)
    assert store.on_leases_end is not None
    store.on_leases_end(10.0)
    store.says = leased(2)
    clock.now += 5
    assert await user(kept) == "v-1"
    assert await user(kept) == "v-2"
    assert store.renewed == []


async def test_the_old_tokens_end_is_the_leases_end(
    kept: SecretCache, store: ScriptedStore, clock: Clock
) -> None:
    await user(kept)
    assert store.on_leases_end is not None
    store.on_leases_end(10.0)
    store.says = SecretAway("it is sealed")
    clock.now += 11
    with pytest.raises(SecretAway):
        await kept.get(PATH)


async def test_a_refused_one_is_replaced_and_not_renewed(
    kept: SecretCache, store: ScriptedStore
) -> None:
    used = (await kept.get(PATH)).secret
    assert used is not None
    store.says = leased(2)
    assert (await kept.again(PATH, used)).secret is not used
    assert store.renewed == []


async def test_leases_are_given_back_when_they_are_forgotten_and_at_the_end(
    kept: SecretCache, store: ScriptedStore
) -> None:
    for number, path in enumerate("abc"):
        store.says = leased(number)
        await user(kept, path)
    assert store.revoked == ["lease-0"]
    await kept.close()
    assert sorted(store.revoked) == ["lease-0", "lease-1", "lease-2"]


async def test_a_store_that_hangs_does_not_hold_up_the_end(
    kept: SecretCache, store: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(lease: Lease) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "revoke", hang)
    monkeypatch.setattr(caching, "REVOKE_WITHIN", 0.02)
    await user(kept)
    async with asyncio.timeout(1):
        await kept.close()
    assert store.closed
