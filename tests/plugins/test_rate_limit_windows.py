"""The counting of `rate-limit`, held against the algorithm in exact numbers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.rate_limit.here import Here, here
from plugins.rate_limit.memory import BYTES_PER_KEY, SALT, Memory
from plugins.rate_limit.windows import Window, windows_of
from proxy.units import Rate, parse_rate

Times = Sequence[Fraction]


class Exact:
    """The generic cell rate algorithm in fractions, for several windows at once."""

    def __init__(self, windows: Sequence[tuple[Rate, int]]) -> None:
        self._steps = [Fraction(rate.per) / rate.count for rate, _ in windows]
        self._bursts = [burst for _, burst in windows]
        self._arrivals = [Fraction(0)] * len(windows)

    def take(self, now: Fraction) -> bool:
        after = [
            max(arrival, now) + step
            for arrival, step in zip(self._arrivals, self._steps, strict=True)
        ]
        spans = [step * burst for step, burst in zip(self._steps, self._bursts, strict=True)]
        if any(end - now > span for end, span in zip(after, spans, strict=True)):
            return False
        self._arrivals = after
        return True


def counting(windows: Sequence[tuple[Rate, int]], most: int = 1000) -> Here:
    made = windows_of([{"rate": rate, "burst": burst} for rate, burst in windows])
    return here(made, [Memory(window, most) for window in made])


def at(limit: Here, key: str, now: float) -> bool:
    return limit.take(key, now)[0] == 0


rates = st.builds(
    Rate, st.integers(1, 5000), st.sampled_from((1.0, 60.0, 3600.0, 86400.0))
).flatmap(lambda rate: st.tuples(st.just(rate), st.integers(1, 2 * rate.count)))


@settings(max_examples=80, deadline=None)
@given(
    windows=st.lists(rates, min_size=1, max_size=3),
    gaps=st.lists(st.fractions(0, 3, max_denominator=1000), min_size=30, max_size=200),
    pace=st.sampled_from((Fraction(1, 1000), Fraction(1, 20), Fraction(1), Fraction(600))),
)
def test_it_admits_what_the_exact_algorithm_admits(
    windows: list[tuple[Rate, int]], gaps: Times, pace: Fraction
) -> None:
    """Within 1 %: what lies on an edge to a thousandth of a step may fall to either side."""
    exact, limit = Exact(windows), counting(windows)
    now, wanted, admitted = Fraction(10**6), 0, 0
    for gap in gaps:
        now += gap * pace
        wanted += exact.take(now)
        admitted += at(limit, "key", float(now))
    assert abs(admitted - wanted) <= max(1, wanted // 100)


@pytest.mark.parametrize("text", ["100/min", "7/s", "1000/h", "3/d", "100000/min"])
def test_a_whole_burst_may_come_at_once_and_then_one_a_step(text: str) -> None:
    rate = parse_rate(text)
    burst = min(rate.count, 5000)
    limit, now = counting([(rate, burst)]), 1_000_000.3
    assert [at(limit, "key", now) for _ in range(burst + 1)] == [True] * burst + [False]
    step = rate.per / rate.count
    if step > 1e-4:  # what a clock of microseconds can tell apart
        assert not at(limit, "key", now + step * 0.9)
        assert at(limit, "key", now + step)
        assert not at(limit, "key", now + step * 1.1)


def test_over_a_long_time_a_steady_caller_gets_the_rate() -> None:
    limit = counting([(Rate(100, 60.0), 10)])
    admitted = sum(at(limit, "key", 5000 + number / 50) for number in range(50 * 600))
    assert admitted == pytest.approx(1000 + 10, rel=0.01)


def test_a_refused_request_takes_nothing_from_any_window() -> None:
    windows = [(Rate(2, 1.0), 2), (Rate(100, 3600.0), 100)]
    limit = counting(windows)
    assert [at(limit, "key", 100.0) for _ in range(3)] == [True, True, False]
    refused = [limit.take("key", 100.0) for _ in range(500)]
    assert {told for _, told in refused} == {'"2/s";r=0;t=1, "100/h";r=98;t=72'}
    assert at(limit, "key", 101.1)
    assert limit.take("key", 101.1)[1] == '"2/s";r=0;t=1, "100/h";r=96;t=143'


def test_the_wait_is_until_all_windows_admit() -> None:
    limit = counting([(Rate(1, 1.0), 1), (Rate(1, 60.0), 1)])
    assert limit.take("key", 100.0)[0] == 0
    assert limit.take("key", 100.0)[0] == pytest.approx(60, rel=0.01)
    assert limit.take("key", 130.0)[0] == pytest.approx(30, rel=0.01)


def test_what_is_left_is_told_for_one_window_as_for_several() -> None:
    one, two = counting([(Rate(100, 60.0), 100)]), counting([(Rate(100, 60.0), 100)] * 2)
    for number in range(150):
        now = 1000 + number * 0.1
        (wait, told), (other, both) = one.take("key", now), two.take("key", now)
        assert (bool(wait), f"{told}, {told}") == (bool(other), both)


def test_keys_do_not_share() -> None:
    limit = counting([(Rate(1, 60.0), 1)])
    assert at(limit, "a", 1.0)
    assert at(limit, "b", 1.0)
    assert not at(limit, "a", 1.0)


@pytest.mark.parametrize(
    ("window", "policy"),
    [
        ({"rate": Rate(100, 60.0)}, '"100/m";q=100;w=60'),
        ({"rate": Rate(100, 60.0), "burst": 20}, '"100/m";q=20;w=12'),
        ({"rate": Rate(10, 1.0), "burst": 100, "name": "ten"}, '"ten";q=100;w=10'),
        ({"rate": Rate(7, 3600.0), "burst": 3}, '"7/h";q=3;w=1543'),
        ({"rate": Rate(3, 1.0)}, '"3/s";q=3;w=1'),
    ],
)
def test_a_policy_is_the_burst_and_the_time_in_which_it_comes_back(
    window: dict[str, object], policy: str
) -> None:
    (made,) = windows_of([window])
    assert made.policy == policy


def test_a_part_of_a_window_has_a_part_of_its_rate_and_of_its_burst() -> None:
    assert Window("x", 0.6, 100).part(0.25) == Window("x", 2.4, 25)
    assert Window("x", 1.0, 1).part(0.25) == Window("x", 4.0, 1)


# -- memory


def test_what_was_paid_for_is_forgotten_a_generation_later() -> None:
    (window,) = windows_of(Rate(10, 10.0))
    memory = Memory(window, 100_000)
    limit = here([window], [memory])
    for number in range(10_000):
        limit.take(f"{number}", 100.0 + number / 5000)
    assert len(memory) == 10_000
    for number in range(20_000):
        limit.take(f"again {number % 500}", 150.0 + number / 1000)
    assert len(memory) <= 500
    assert memory.evicted == 0


def test_a_key_is_never_forgotten_while_it_counts() -> None:
    exact, limit = Exact([(Rate(60, 60.0), 60)]), counting([(Rate(60, 60.0), 60)])
    wanted = admitted = 0
    for number in range(20_000):
        now = 1000.0 + number * 0.37
        wanted += exact.take(Fraction(now))
        admitted += at(limit, "key", now)
        limit.take(f"other {number % 50}", now)
    assert admitted == pytest.approx(wanted, abs=3)


def test_above_the_bound_old_keys_go_and_the_young_ones_stay() -> None:
    (window,) = windows_of(Rate(1, 60.0))
    memory = Memory(window, 100)
    limit = here([window], [memory])
    for number in range(1000):
        assert at(limit, f"{number}", 1000.0)
        assert len(memory) <= 100
    assert memory.evicted == 900
    assert not at(limit, "999", 1000.0)


def test_nobody_can_tell_which_keys_meet() -> None:
    assert len(SALT) == 16
    told = subprocess.run(
        [sys.executable, "-c", "from plugins.rate_limit.memory import SALT; print(SALT)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() not in ("", SALT)


_MILLION = """
import resource, time
from plugins.rate_limit.here import here
from plugins.rate_limit.memory import Memory
from plugins.rate_limit.windows import windows_of
from proxy.units import Rate

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

(window,) = windows_of(Rate(100, 60.0))
memory = Memory(window, 1_000_000)
limit = here([window], [memory])
before, slowest = resident(), 0.0
for number in range(1_500_000):
    begun = time.perf_counter()
    limit.take(f"a10.{number}", 1000.0 + number / 1e6)
    slowest = max(slowest, time.perf_counter() - begun)
print(len(memory), resident() - before, memory.evicted, slowest)
"""


def test_a_million_keys_stay_under_the_bound_and_stop_the_loop_for_no_moment() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _MILLION], capture_output=True, text=True, check=True, timeout=50
    )
    kept, size, evicted, slowest = map(float, ran.stdout.split())
    assert 950_000 <= kept <= 1_000_000
    assert kept + evicted == 1_500_000
    assert size <= BYTES_PER_KEY * 1_000_000
    assert slowest < 0.1
