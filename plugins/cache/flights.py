"""Requests for the same, of which one asks the upstream while the others wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from plugins.cache.asked import Asked

Key = tuple[object, ...]

UNSHARED = 60.0
"""Seconds for which nobody waits again where an answer was not one for others."""

FAILED = 1.0
"""The same where the upstream failed: nobody should wait for others to fail one by one."""

_MOST = 4096


class Flight:
    """One request that others wait for."""

    __slots__ = ("_over", "key")

    def __init__(self, key: Key) -> None:
        self.key = key
        self._over = asyncio.Event()

    async def over(self, seconds: float) -> bool:
        """Wait until it is over, whatever came of it. Return False when that takes too long.

        Whoever waits may be cancelled: its client's leaving is nobody else's business.
        """
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._over.wait()
            except TimeoutError:
                return False
        return self._over.is_set()

    def end(self) -> None:
        """Let the others go."""
        self._over.set()


class Flights:
    """The flights under way, and what nobody should wait for: answers that are not for others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._flights: dict[Key, Flight] = {}
        # By hash: keys are as long as clients make them, and a collision costs no more than a wait.
        self._alone: dict[int, float] = {}

    def find(self, asked: Asked) -> Flight | None:
        """Return who asks for the same, None for nobody."""
        return self._flights.get(_key(asked))

    def lead(self, asked: Asked) -> Flight | None:
        """Begin a flight, None where nobody should wait for one."""
        key = _key(asked)
        if self._alone.get(hash(key), 0.0) > self._clock():
            return None
        flight = self._flights[key] = Flight(key)
        return flight

    def end(self, flight: Flight, alone: float) -> None:
        """End a flight. For `alone` seconds nobody waits for another one."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        if alone:
            if len(self._alone) >= _MOST:
                self._alone.clear()
            self._alone[hash(flight.key)] = self._clock() + alone
        flight.end()


def _key(asked: Asked) -> Key:
    return asked.resource, asked.own
