"""How late the event loop is: what every request waits for, whatever it asks."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from time import monotonic

from proxy.plugin.context import LagStatus

INTERVAL = 0.1
"""Seconds between two looks. What blocks the loop for less is seen in that share of cases."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds in seconds. An idle loop is up to a millisecond late, as uvloop counts by those."""


class LoopLag:
    """Compares when a timer fires with when it should have: ten times a second, a few µs each."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._total = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._planned = 0.0

    def start(self) -> None:
        """Look from now on, once started."""
        if self._timer is None:
            self._plan()

    def stop(self) -> None:
        """Look no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def status(self) -> LagStatus:
        """Return what was seen since the start."""
        return LagStatus(BOUNDS, tuple(self._counts), self._total)

    def _plan(self) -> None:
        # The loop's own clock stands still while a turn of it lasts.
        self._planned = monotonic() + INTERVAL
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def _look(self) -> None:
        late = max(0.0, monotonic() - self._planned)
        self._counts[bisect_left(BOUNDS, late)] += 1
        self._total += late
        self._plan()
