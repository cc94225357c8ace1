"""The list of what was used, in one process."""

from __future__ import annotations

import tracemalloc

import pytest

from proxy.errors import Unavailable
from proxy.plugin.once import MOST, OnceHere


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_the_first_use_is_the_only_one_until_it_ends() -> None:
    clock = Clock()
    used = OnceHere(now=clock)
    assert await used.first("a", 30)
    assert not await used.first(b"a", 30)
    assert await used.first("b", 30)
    clock.now += 29.9
    assert not await used.first("a", 30)
    clock.now += 1.1
    assert await used.first("a", 30)
    assert len(used) == 1


async def test_what_ends_later_stays_when_what_ends_sooner_goes() -> None:
    clock = Clock()
    used = OnceHere(now=clock)
    for seconds in (300, 5, 60):
        assert await used.first(f"for {seconds}", seconds)
    clock.now += 61
    assert not await used.first("for 300", 300)
    assert len(used) == 1


async def test_a_full_list_can_not_tell_and_forgets_nothing_before_its_time() -> None:
    clock = Clock()
    used = OnceHere(most=3, now=clock)
    for name in "abc":
        assert await used.first(name, 30)
    with pytest.raises(Unavailable) as caught:
        await used.first("d", 30)
    assert caught.value.code == "store_unavailable"
    assert not await used.first("a", 30)
    clock.now += 31
    assert await used.first("d", 30)


async def test_what_is_forgotten_and_used_again_for_ever_grows_over_no_bound() -> None:
    clock = Clock()
    used = OnceHere(most=3, now=clock)
    for _ in range(6):
        assert await used.first("a", 30)
        await used.forget("a")
    with pytest.raises(Unavailable):
        await used.first("a", 30)
    clock.now += 31
    assert await used.first("a", 30)


async def test_a_list_that_is_full_of_long_keys_stays_under_its_bound() -> None:
    clock = Clock()
    used = OnceHere(now=clock)
    tracemalloc.start()
    for number in range(MOST):
        clock.now += 0.0001
        assert await used.first(f"{number}" * 50, 30)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 16 * 1024 * 1024


async def test_what_is_forgotten_may_be_used_again_and_lasts_its_own_time() -> None:
    clock = Clock()
    used = OnceHere(now=clock)
    assert await used.first("a", 10)
    await used.forget("a")
    await used.forget("never used")
    clock.now += 5
    assert await used.first("a", 10)
    clock.now += 6
    assert not await used.first("a", 10)
    clock.now += 6
    assert await used.first("a", 10)
    assert len(used) == 1
