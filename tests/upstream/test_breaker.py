"""The circuit breaker of one target: a table of what happens to it, and where it ends."""

from __future__ import annotations

import asyncio

import pytest

from proxy.config.models import Breaker
from proxy.upstream.breaker import CircuitBreaker, State
from tests.upstream.targets import Clock, set_by_hand


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return set_by_hand(monkeypatch)


class Driven:
    """A breaker with three failures, and who uses it."""

    def __init__(self, open_for: float = 60.0) -> None:
        self.changes: list[str] = []
        self.breaker = CircuitBreaker(
            Breaker(3, open_for), lambda: self.changes.append(self.breaker.state.value)
        )
        self.probe = object()
        self.others = object()

    def do(self, steps: str) -> None:
        """`+` `-` `?`: a request ends well, badly, or telling nothing; in brackets it is the probe's.

        `o`: its time is over; `p`: a probe goes out.
        """
        whose = self.others
        for step in steps:
            if step == "(":
                whose = self.probe
            elif step == ")":
                whose = self.others
            elif step == "o":
                self.breaker._become(State.HALF_OPEN)
            elif step == "p":
                self.breaker.probe()
                self.breaker.taken(self.probe)
            else:
                ends = {"+": self.breaker.good, "-": self.breaker.bad, "?": self.breaker.undecided}
                ends[step](whose)


@pytest.mark.parametrize(
    ("steps", "state", "openings"),
    [
        ("--", State.CLOSED, 0),
        ("--+--", State.CLOSED, 0),
        ("--?-", State.OPEN, 1),
        ("---", State.OPEN, 1),
        ("---o", State.HALF_OPEN, 1),
        ("---op", State.PROBING, 1),
        ("---op(+)", State.CLOSED, 1),
        ("---op(+)--", State.CLOSED, 1),
        ("---op(+)---", State.OPEN, 2),
        ("---op(-)", State.OPEN, 2),
        ("---op(-)op(+)", State.CLOSED, 2),
        ("---op(?)", State.HALF_OPEN, 1),
        ("---op(?)p(+)", State.CLOSED, 1),
        # What was sent before it opened and ends now decides nothing: it was asked to stay open.
        ("---+", State.OPEN, 1),
        ("---------", State.OPEN, 1),
        ("---o+", State.HALF_OPEN, 1),
        ("---o-", State.HALF_OPEN, 1),
        ("---op+", State.PROBING, 1),
        ("---op-", State.PROBING, 1),
        ("---op?", State.PROBING, 1),
        ("---op+-?(+)", State.CLOSED, 1),
    ],
)
async def test_what_a_breaker_makes_of_it(steps: str, state: State, openings: int) -> None:
    driven = Driven()
    driven.do(steps)
    assert driven.breaker.state is state
    assert driven.breaker.openings == openings
    driven.breaker.close()


async def test_every_change_but_a_probes_going_out_is_told() -> None:
    driven = Driven()
    driven.do("---op(-)op(?)p(+)")
    assert driven.changes == ["open", "half-open", "open", "half-open", "half-open", "closed"]


async def test_it_waits_for_its_time(clock: Clock) -> None:
    driven = Driven(open_for=0.05)
    assert driven.breaker.left == 0
    driven.do("---")
    clock.now += 0.02
    assert driven.breaker.left == pytest.approx(0.03)
    await asyncio.sleep(0.08)
    assert driven.breaker.state is State.HALF_OPEN
    assert driven.breaker.left == 0


async def test_a_closed_one_leaves_no_timer() -> None:
    driven = Driven(open_for=0.02)
    driven.do("---")
    driven.breaker.close()
    await asyncio.sleep(0.05)
    assert driven.breaker.state is State.OPEN


async def test_it_holds_nobody_when_the_probe_is_over() -> None:
    driven = Driven()
    driven.do("---op(?)")
    assert driven.breaker.prober is None
    driven.do("p(+)")
    assert driven.breaker.prober is None
