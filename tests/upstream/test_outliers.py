"""When a target is left out for the answers that it gives, and for how long."""

from __future__ import annotations

import pytest

from proxy.config.models import Outliers
from proxy.upstream.outliers import OutlierWatch
from tests.upstream.targets import Clock, set_by_hand


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return set_by_hand(monkeypatch)


def after(watch: OutlierWatch, ends: str) -> list[str]:
    """Let requests end well (`+`) or badly (`-`); return what was said of the bad ones."""
    said = []
    for end in ends:
        if end == "+":
            watch.good()
        else:
            said.append(watch.bad() or "")
    return said


@pytest.mark.parametrize(
    ("ends", "last"),
    [
        ("----", ""),
        ("-----", "5 bad ends in a row"),
        ("----+----", ""),
        ("----+-----", "5 bad ends in a row"),
        ("+-" * 9, ""),
        ("+-" * 10, "10 of the last 20 requests ended badly"),
        ("++-" * 20, ""),
    ],
)
def test_a_target_is_judged_by_bad_ends_in_a_row_and_by_their_share(
    clock: Clock, ends: str, last: str
) -> None:
    said = after(OutlierWatch(Outliers()), ends)
    assert said[-1] == last
    assert not any(said[:-1])


def test_a_few_bad_ends_in_a_burst_behind_a_silence_are_no_share(clock: Clock) -> None:
    watch = OutlierWatch(Outliers())
    clock.now += 300
    for _ in range(20):
        clock.now += 0.05
        assert after(watch, "+" * 19 + "-") == [""], "one of twenty is no half"


def test_what_is_older_than_the_window_is_forgotten(clock: Clock) -> None:
    watch = OutlierWatch(Outliers())
    after(watch, "+-" * 9)
    clock.now += 11
    assert after(watch, "+-") == [""]


def test_each_time_lasts_longer_up_to_the_longest(clock: Clock) -> None:
    watch = OutlierWatch(Outliers(eject_for=10, longest=35))
    times = []
    for _ in range(5):
        times.append(watch.eject())
        clock.now += times[-1]
        watch.readmit()
    assert times == [10, 20, 30, 35, 35]
    assert watch.ejections == 5


@pytest.mark.parametrize(
    ("well", "next_time"),
    [(0, 40), (29, 40), (30, 30), (60, 20), (90, 10), (10_000, 10)],
)
def test_a_time_spent_well_takes_one_back(clock: Clock, well: float, next_time: float) -> None:
    """After three ejections of 10, 20 and 30 s, each 30 s spent well take one."""
    watch = OutlierWatch(Outliers(eject_for=10))
    for _ in range(3):
        clock.now += watch.eject()
        watch.readmit()
    clock.now += well
    assert watch.eject() == next_time


def test_who_comes_back_begins_anew(clock: Clock) -> None:
    watch = OutlierWatch(Outliers())
    after(watch, "-----")
    watch.eject()
    watch.readmit()
    assert after(watch, "----") == [""] * 4
    assert watch.requests.recent(clock.now) == 4
