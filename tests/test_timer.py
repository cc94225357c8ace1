"""The deadline that moves often and fires seldom, on a loop whose clock the test turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from proxy.timer import Deadline


class Handle:
    """One call that the loop will make."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A loop's clock and timers, as far as a deadline uses them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handles: list[Handle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> Handle:
        self.handles.append(Handle(at, call))
        return self.handles[-1]

    @property
    def due(self) -> list[Handle]:
        return [handle for handle in self.handles if not handle.cancelled]

    def turn(self, to: float) -> None:
        """Run all that is due until `to`, each at its time."""
        while found := [handle for handle in self.due if handle.at <= to]:
            first = min(found, key=lambda handle: handle.at)
            self.handles.remove(first)
            self.now = max(self.now, first.at)
            first.call()
        self.now = to


def made() -> tuple[Loop, Deadline, list[float]]:
    loop = Loop()
    fired: list[float] = []
    return loop, Deadline(cast(Any, loop), lambda: fired.append(loop.now)), fired


def test_it_fires_once_at_its_time() -> None:
    loop, deadline, fired = made()
    deadline.set(2.0)
    loop.turn(1.9)
    assert (fired, deadline.active) == ([], True)
    loop.turn(10.0)
    assert (fired, deadline.active, loop.due) == ([2.0], False, [])


def test_moving_it_later_makes_no_timer() -> None:
    loop, deadline, fired = made()
    for _ in range(100):
        deadline.set(5.0)
        loop.turn(loop.now + 0.01)
    assert len(loop.handles) == 1
    loop.turn(20.0)
    assert [round(at, 2) for at in fired] == [5.99]


def test_moving_it_earlier_fires_earlier() -> None:
    loop, deadline, fired = made()
    deadline.set(10.0)
    deadline.set(1.0)
    loop.turn(20.0)
    assert fired == [1.0]


def test_a_cleared_one_does_not_fire_and_can_be_set_again() -> None:
    loop, deadline, fired = made()
    deadline.set(1.0)
    deadline.clear()
    loop.turn(5.0)
    assert fired == []
    deadline.set(1.0)
    loop.turn(10.0)
    assert fired == [6.0]


def test_a_closed_one_leaves_no_timer() -> None:
    loop, deadline, fired = made()
    deadline.set(1.0)
    deadline.close()
    assert loop.due == []
    loop.turn(5.0)
    assert fired == []


steps = st.lists(
    st.tuples(st.sampled_from(["set", "clear", "close", "wait"]), st.integers(1, 50)), max_size=40
)


@given(steps)
def test_it_fires_exactly_when_a_plain_timer_would(found: list[tuple[str, int]]) -> None:
    loop, deadline, fired = made()
    expected: list[float] = []
    at: float | None = None
    for deed, tenths in found:
        if deed == "set":
            at = loop.now + tenths
            deadline.set(tenths)
        elif deed == "wait":
            until = loop.now + tenths
            if at is not None and at <= until:
                expected.append(at)
                at = None
            loop.turn(until)
        else:
            at = None
            getattr(deadline, deed)()
        assert deadline.active is (at is not None)
        assert len(loop.due) <= 1
    assert fired == expected
