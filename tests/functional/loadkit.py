"""A steady load: a few clients on keep-alive connections that ask at an even pace.

How each request ended is written down.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import perf_counter

from tests.functional.faultkit import PATH
from tests.functional.kit import Gateway, RawClient, request


@dataclass
class Outcome:
    """How one request ended: `status` is 0 when the connection broke. Times are in seconds."""

    at: float
    status: int
    body: bytes = b""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.status == 200


@dataclass
class Load:
    """What came of a load, and how to go on with it."""

    outcomes: list[Outcome] = field(default_factory=list)
    running: bool = True
    started: float = field(default_factory=perf_counter)

    def failures(self, since: float = 0.0) -> list[Outcome]:
        """Return what ended badly, of the requests that began behind `since`."""
        return [one for one in self.outcomes if not one.good and one.at >= since]

    def counts(self, since: float = 0.0) -> Counter[str]:
        """Return how many good answers each backend gave."""
        good = (one for one in self.outcomes if one.good and one.at >= since)
        return Counter(one.body.decode() for one in good)

    def now(self) -> float:
        """Return the time since the load began."""
        return perf_counter() - self.started


@contextlib.asynccontextmanager
async def load(
    running: Gateway,
    *,
    clients: int = 8,
    rate: float = 160.0,
    make: Callable[[int], bytes] = lambda _: request(PATH),
    timeout: float = 5.0,
) -> AsyncIterator[Load]:
    """Ask for as long as the block runs: `rate` requests a second of `clients` in all.

    Every request that was begun is waited for, so a request that hangs fails by `timeout`.
    """
    seen = Load()
    each = clients / rate
    tasks = [
        asyncio.ensure_future(_client(running, seen, each, at, clients, make, timeout))
        for at in range(clients)
    ]
    try:
        yield seen
    finally:
        seen.running = False
        await asyncio.gather(*tasks)


async def _client(
    running: Gateway,
    seen: Load,
    each: float,
    at: int,
    clients: int,
    make: Callable[[int], bytes],
    timeout: float,
) -> None:
    client: RawClient | None = None
    await asyncio.sleep(each * at / clients)
    number = at
    while seen.running:
        began = seen.now()
        try:
            if client is None:
                client = await running.client()
                client.timeout = timeout
            client.send(make(number))
            reply = await client.reply()
            outcome = Outcome(began, reply.status, reply.body)
            if reply.header("Connection") == "close":
                client.close()
                client = None
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            outcome = Outcome(began, 0)
            if client is not None:
                client.close()
            client = None
        outcome.seconds = seen.now() - began
        seen.outcomes.append(outcome)
        number += clients
        await asyncio.sleep(max(0.0, each - outcome.seconds))
    if client is not None:
        client.close()
