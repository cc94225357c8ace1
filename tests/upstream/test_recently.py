"""Counting the last seconds: never far from the truth, whenever it is asked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.upstream.recently import Stream, Tally

WINDOW = 10.0


def test_a_young_stream_tells_all_that_it_counted() -> None:
    stream = Stream(WINDOW, 100.0)
    assert stream.recent(100.0) == 0
    stream.count += 7
    assert stream.recent(100.0) == 7
    assert stream.recent(105.0) == 7


@pytest.mark.parametrize("every", [0.1, 0.7, 3.0, 9.0, 25.0])
def test_of_a_steady_stream_one_window_is_told_however_often_it_is_asked(every: float) -> None:
    stream, now = Stream(WINDOW, 0.0), 0.0
    for _ in range(int(100 / every)):
        now += every
        stream.count += round(every * 50)
        found = stream.recent(now)
    assert found == pytest.approx(round(every * 50) / every * WINDOW, rel=0.01)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    stream = Stream(WINDOW, 0.0)
    stream.count += 1000
    stream.recent(1.0)
    assert stream.recent(30.0) == 0


def test_a_burst_behind_a_long_silence_counts_in_full_from_the_first_question_on() -> None:
    """Else a few bad ends in it would seem to be most of it."""
    stream = Stream(WINDOW, 0.0)
    stream.count += 1
    stream.recent(100.0)
    stream.count += 400
    assert stream.recent(101.0) == pytest.approx(400, abs=1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 30), st.integers(0, 1000)), min_size=1, max_size=40))
def test_a_stream_never_tells_less_than_came_since_the_last_questions_of_the_window(
    steps: list[tuple[float, int]],
) -> None:
    stream, now, asked = Stream(WINDOW, 0.0), 0.0, [(0.0, 0)]
    for passed, number in steps:
        now += passed
        stream.count += number
        found = stream.recent(now)
        certain = [stream.count - count for at, count in asked if at >= now - WINDOW * 0.8]
        assert max(certain, default=0) <= found + 1e-6
        assert found <= stream.count + 1e-6
        asked.append((now, stream.count))


def test_a_tally_forgets_a_tenth_of_its_window_at_a_time() -> None:
    tally = Tally(WINDOW)
    for second in range(10):
        tally.add(100.5 + second)
    assert tally.recent(109.9) == 10
    assert tally.recent(110.1) == 9
    assert tally.recent(114.1) == 5
    assert tally.recent(300.0) == 0
    tally.add(301.0)
    tally.clear()
    assert tally.recent(301.0) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_tally_tells_at_least_nine_tenths_of_its_window_and_no_more_than_all(
    steps: list[float],
) -> None:
    tally, now, times = Tally(WINDOW), 50.0, []
    for passed in steps:
        now += passed
        tally.add(now)
        times.append(now)
        found = tally.recent(now)
        assert sum(at > now - WINDOW * 0.9 + 1e-6 for at in times) <= found
        assert found <= sum(at > now - WINDOW - 1e-6 for at in times)
