"""The budget of retries: a share of recent requests, with a floor (semantics.md, row 25)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.models import Retry
from proxy.upstream.budget import RetryBudget
from tests.upstream.targets import Clock, set_by_hand


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return set_by_hand(monkeypatch)


def granted(budget: RetryBudget, retry: Retry, requests: int) -> int:
    """Let `requests` come, each of which would be tried again; return how many are."""
    found = 0
    for _ in range(requests):
        budget.requests.count += 1
        found += budget.spend(retry)
    return found


@pytest.mark.parametrize(
    ("share", "floor", "requests", "retries"),
    [
        (0.2, 0, 4, 0),
        (0.2, 0, 5, 1),
        (0.2, 0, 100, 20),
        (0.2, 10, 30, 10),
        (0.2, 10, 100, 20),
        (0.0, 0, 100, 0),
        (0.0, 3, 100, 3),
        (1.0, 0, 100, 100),
    ],
)
def test_retries_are_the_share_or_the_floor(
    clock: Clock, share: float, floor: int, requests: int, retries: int
) -> None:
    budget = RetryBudget()
    assert granted(budget, Retry(budget=share, floor=floor), requests) == retries
    assert budget.refused == requests - retries


def test_what_was_spent_comes_back_when_its_time_is_over(clock: Clock) -> None:
    budget, retry = RetryBudget(), Retry(budget=0.0, floor=5)
    assert granted(budget, retry, 20) == 5
    clock.now += 5
    assert granted(budget, retry, 20) == 0
    clock.now += 6
    assert granted(budget, retry, 20) == 5


def test_to_ask_costs_nothing(clock: Clock) -> None:
    budget, retry = RetryBudget(), Retry(budget=0.0, floor=1)
    assert all(budget.allows(retry) for _ in range(5))
    assert budget.spend(retry)
    assert not budget.allows(retry)
    assert budget.refused == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 300), st.floats(0, 1))
def test_without_a_floor_no_more_than_the_share_is_ever_granted(
    requests: int, share: float
) -> None:
    budget = RetryBudget()
    assert granted(budget, Retry(budget=share, floor=0), requests) <= share * requests + 1e-6
