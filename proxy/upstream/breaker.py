"""A circuit breaker for one target: closed, open, half-open with one probe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from time import monotonic

from proxy.config.models import Breaker


class State(Enum):
    """`probing` is half-open with the one request under way that may close it."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    PROBING = "probing"


class CircuitBreaker:
    """Opens after so many failures in a row; `changed` is called at each change of state.

    `who` is the one whose request it was. While it is not closed only the probe's end counts: what
    was sent before it opened may end much later, and says nothing of now.

    `untroubled` tells that it is closed and the last request did not fail: then neither `taken` nor
    `good` has anything to do, and nearly every request is spared both.
    """

    __slots__ = (
        "_changed",
        "_spec",
        "_streak",
        "_timer",
        "opened",
        "openings",
        "prober",
        "state",
        "untroubled",
    )

    def __init__(self, spec: Breaker, changed: Callable[[], None]) -> None:
        self._spec = spec
        self._changed = changed
        self._streak = 0
        self._timer: asyncio.TimerHandle | None = None
        self.state = State.CLOSED
        self.opened = 0.0
        self.openings = 0
        self.prober: object = None
        self.untroubled = True

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.state.value} streak={self._streak}>"

    @property
    def left(self) -> float:
        """Seconds until a probe may go: 0 unless it is open."""
        if self.state is not State.OPEN:
            return 0.0
        return max(0.0, self.opened + self._spec.open_for - monotonic())

    def good(self, who: object) -> None:
        """A request ended well: a probe's closes."""
        if self.state is State.CLOSED:
            self._streak = 0
            self.untroubled = True
        elif self._probes(who):
            self._become(State.CLOSED)

    def begun(self, who: object) -> None:
        """A good head came and its body may take long: a probe's closes, another's says nothing yet."""
        if self._probes(who):
            self._become(State.CLOSED)

    def bad(self, who: object) -> None:
        """A request failed: a probe's opens again."""
        if self.state is State.CLOSED:
            self.untroubled = False
            self._streak += 1
            if self._streak >= self._spec.failures:
                self._open()
        elif self._probes(who):
            self._open()

    def undecided(self, who: object) -> None:
        """A request ended without telling anything, such as by its client's leaving."""
        if self._probes(who):
            self._become(State.HALF_OPEN)

    def probe(self) -> None:
        """One request goes out to see: that of who is `taken` next."""
        self.state = State.PROBING
        self.prober = None
        self.untroubled = False

    def taken(self, who: object) -> None:
        """A request of `who` goes out."""
        if self.state is State.PROBING and self.prober is None:
            self.prober = who

    def _probes(self, who: object) -> bool:
        return self.state is State.PROBING and self.prober is who

    def end(self) -> None:
        """Stop the timer, and tell nobody any more: whom it tells has it, which is a cycle."""
        self.close()
        self._changed = _nobody

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _open(self) -> None:
        self.opened = monotonic()
        self.openings += 1
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._spec.open_for, self._become, State.HALF_OPEN)
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        if state is not State.OPEN:
            self.close()
        self.state = state
        self.prober = None
        self._streak = 0
        self.untroubled = state is State.CLOSED
        self._changed()


def _nobody() -> None:
    """Nobody has the target any more."""
