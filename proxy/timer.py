"""A deadline that moves often and fires seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `expired` once when its time has come; moving it later costs an assignment.

    A request moves several deadlines and lets none expire. The loop's timer is therefore left where
    it is when the deadline moves later, and set again when it fires too early.
    """

    __slots__ = ("_at", "_expired", "_loop", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def set(self, seconds: float) -> None:
        """Expire in `seconds` from now, instead of any time set before."""
        at = self._at = self._loop.time() + seconds
        if self._timer is None or at < self._timer_at:
            self._arm(at)

    def clear(self) -> None:
        """Do not expire. The loop's timer stays, as the next `set` will use it."""
        self._at = None

    def close(self) -> None:
        """Do not expire, and let go of the loop's timer."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drop(self) -> None:
        """Close for good: let go of `expired` too, whose owner mostly holds this."""
        self.close()
        self._expired = _nothing

    @property
    def active(self) -> bool:
        """Whether a time is set."""
        return self._at is not None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._at is None:
            return
        # uvloop's timers have a resolution of 1 ms and may fire that much early.
        if self._at - self._loop.time() > 0.001:
            self._arm(self._at)
            return
        self._at = None
        self._expired()


def _nothing() -> None:
    """Do nothing."""
