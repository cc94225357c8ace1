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
    """Opens after so many failures in a row; `changed` is called at each change of state."""

    __slots__ = ("_changed", "_spec", "_streak", "_timer", "opened", "openings", "state")

    def __init__(self, spec: Breaker, changed: Callable[[], None]) -> None:
        self._spec = spec
        self._changed = changed
        self._streak = 0
        self._timer: asyncio.TimerHandle | None = None
        self.state = State.CLOSED
        self.opened = 0.0
        self.openings = 0

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.state.value} streak={self._streak}>"

    @property
    def left(self) -> float:
        """Seconds until a probe may go: 0 unless it is open."""
        if self.state is not State.OPEN:
            return 0.0
        return max(0.0, self.opened + self._spec.open_for - monotonic())

    def good(self) -> None:
        """A request ended well: a probe's closes."""
        self._streak = 0
        if self.state is not State.CLOSED:
            self._become(State.CLOSED)

    def bad(self) -> None:
        """A request failed: a probe's opens again."""
        self._streak += 1
        if self.state is State.OPEN:
            return
        if self.state is not State.CLOSED or self._streak >= self._spec.failures:
            self._open()

    def undecided(self) -> None:
        """The probe ended without telling anything, such as by its client's leaving."""
        if self.state is State.PROBING:
            self._become(State.HALF_OPEN)

    def probe(self) -> None:
        """One request goes out to see."""
        self.state = State.PROBING

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
        self._changed()
