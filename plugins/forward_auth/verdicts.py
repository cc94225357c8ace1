"""Verdicts that hold for a while, and questions under way that others wait for."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace

from plugins.forward_auth.verdict import Known, Refused, Verdict
from proxy import Unavailable

MOST = 10_000
"""So many callers are remembered; beyond, those are forgotten that were let in longest ago."""

Ask = Callable[[], Awaitable[Verdict]]


class _Flight:
    """A question under way. `outcome` is None while it flies, and where its client has left."""

    __slots__ = ("outcome", "over")

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.outcome: Verdict | Unavailable | None = None


class Verdicts:
    """Good verdicts by key, each for `lifetime` seconds; a refusal is never kept."""

    def __init__(self, lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Known]] = OrderedDict()
        self._flights: dict[bytes, _Flight] = {}

    def find(self, key: bytes) -> Known | None:
        """Return what still holds."""
        kept = self._known.get(key)
        if kept is None:
            return None
        if kept[0] <= self._clock():
            del self._known[key]
            return None
        return kept[1]

    async def of(self, key: bytes, ask: Ask) -> Verdict:
        """Return the verdict; of those who come together with one key, the first asks.

        The others take its yes, and its failure. What it is refused they hear themselves: a redirect
        names the page that was asked for. Raises Unavailable as `ask` does.
        """
        while (flight := self._flights.get(key)) is not None:
            await flight.over.wait()
            outcome = flight.outcome
            if isinstance(outcome, Unavailable):
                raise Unavailable(str(outcome), code=outcome.code)
            if isinstance(outcome, Known):
                return outcome
            if isinstance(outcome, Refused):
                return await ask()
        return await self._lead(key, ask)

    async def _lead(self, key: bytes, ask: Ask) -> Verdict:
        flight = self._flights[key] = _Flight()
        try:
            verdict = flight.outcome = await ask()
        except Unavailable as away:
            flight.outcome = away
            raise
        else:
            if isinstance(verdict, Known):
                self._keep(key, verdict)
            return verdict
        finally:
            del self._flights[key]
            flight.over.set()

    def _keep(self, key: bytes, verdict: Known) -> None:
        if len(self._known) >= MOST:
            self._known.popitem(last=False)
        # A session that was renewed once is not renewed again by what is remembered.
        self._known[key] = self._clock() + self._lifetime, replace(verdict, cookies=())
