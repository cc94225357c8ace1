"""Consistent hashing: an even spread, and only the keys of who leaves move."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.upstream.ring import Ring

KEYS = [f"tenant-{number}" for number in range(20_000)]


def ring(names: list[str], weights: dict[str, int] | None = None) -> Ring[str]:
    return Ring([(name, (weights or {}).get(name, 1), name) for name in names])


def addresses(number: int) -> list[str]:
    return [f"http://10.0.0.{at}:8080" for at in range(number)]


@pytest.mark.parametrize("number", [3, 5, 8, 13, 21, 34, 50])
def test_the_fullest_target_has_less_than_a_quarter_over_the_mean(number: int) -> None:
    made = ring(addresses(number))
    shares = Counter(next(made.along(key)) for key in KEYS)
    assert len(shares) == number
    assert max(shares.values()) * number / len(KEYS) < 1.25


@pytest.mark.parametrize("number", [3, 10, 25])
def test_of_a_target_that_leaves_only_its_own_keys_move_and_to_all_others(number: int) -> None:
    names = addresses(number)
    whole = ring(names)
    before = {key: next(whole.along(key)) for key in KEYS[:4000]}
    moved = []
    for gone in names:
        left = ring([name for name in names if name != gone])
        after = {key: next(left.along(key)) for key in before}
        assert all(after[key] == had for key, had in before.items() if had != gone)
        moved.append(sum(after[key] != had for key, had in before.items()))
    assert sum(moved) / number == pytest.approx(len(before) / number)


def test_the_keys_of_who_leaves_are_spread_over_the_others() -> None:
    names = addresses(6)
    whole, left = ring(names), ring(names[1:])
    heirs = Counter(next(left.along(key)) for key in KEYS if next(whole.along(key)) == names[0])
    assert len(heirs) == 5
    assert max(heirs.values()) < 1.6 * sum(heirs.values()) / 5


def test_weights_are_shares_and_none_gets_nothing() -> None:
    made = ring(["a", "b", "c"], {"a": 3, "b": 1, "c": 0})
    shares = Counter(next(made.along(key)) for key in KEYS)
    assert shares.keys() == {"a", "b"}
    assert shares["a"] / len(KEYS) == pytest.approx(0.75, abs=0.05)


def test_a_ring_of_heavy_targets_stays_small_and_true() -> None:
    made = ring(["a", "b"], {"a": 100_000, "b": 50_000})
    assert len(made._at) <= 200_001
    shares = Counter(next(made.along(key)) for key in KEYS[:4000])
    assert shares["a"] / 4000 == pytest.approx(2 / 3, abs=0.03)


@settings(max_examples=50, deadline=None)
@given(st.permutations(["a", "b", "c", "d"]), st.text())
def test_the_order_in_the_file_says_nothing(names: list[str], key: str) -> None:
    order = list(dict.fromkeys(ring(names).along(key)))
    assert order == list(dict.fromkeys(ring(["a", "b", "c", "d"]).along(key)))
    assert sorted(order) == ["a", "b", "c", "d"], "all are along the ring"


def test_a_key_of_any_bytes_has_a_place() -> None:
    made = ring(["a", "b"])
    for key in ("\udcff", "\ud800", "a\ud800\udcff"):
        assert next(made.along(key)) == next(made.along(key))
    assert list(ring([]).along("key")) == []
