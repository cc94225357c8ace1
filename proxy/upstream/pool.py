"""One pool per upstream: what may be in flight, who waits, which connections are idle."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING

from proxy.config.models import TargetSpec, Timeouts, UpstreamSpec
from proxy.errors import GatewayError
from proxy.plugin.context import UpstreamStatus
from proxy.plugin.exchange import Attempt
from proxy.upstream.connection import Connection
from proxy.upstream.resolver import Resolver
from proxy.upstream.target import Target

if TYPE_CHECKING:
    from ssl import SSLContext


class Upstream:
    """A named pool of interchangeable targets. A hanging upstream can't starve another.

    A slot is one exchange in flight; at most `concurrent` are given out, at most `queue` wait for
    one. Every slot that `enter` gave must be given back by `leave`.
    """

    def __init__(self, spec: UpstreamSpec, context: SSLContext | None) -> None:
        """`context` is None where no target speaks TLS."""
        self.spec = spec
        self.name = spec.name
        self.context = context
        resolver = Resolver(spec.resolve_ttl)
        self.targets = tuple(self._target(target, resolver) for target in spec.targets)
        self._keepalive = spec.keepalive
        self._young = spec.max_age * 0.9
        self.in_flight = 0
        self.retries: Counter[str] = Counter()
        self._next = 0
        self._open: set[Connection] = set()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._owners = 0

    def __repr__(self) -> str:
        return f"<Upstream {self.name} in_flight={self.in_flight} open={len(self._open)}>"

    def _target(self, target: TargetSpec, resolver: Resolver) -> Target:
        return Target(target, self.spec.tls, resolver, self.context)

    # -- slots

    def try_enter(self) -> bool:
        """Take a slot if one is free."""
        if self.in_flight >= self.spec.concurrent:
            return False
        self.in_flight += 1
        return True

    async def enter(self, timeout: float) -> None:
        """Take a slot, waiting at most `timeout` seconds.

        Raises GatewayError `upstream_saturated` at once when the queue is full, or
        `upstream_pool_timeout`.
        """
        if self.try_enter():
            return
        if len(self._waiters) >= self.spec.queue:
            raise GatewayError("upstream_saturated")
        await self._queue_up(timeout)

    async def _queue_up(self, timeout: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self.leave()  # the slot was handed over while we were being cancelled
            else:
                self._forget(waiter)
            if isinstance(error, TimeoutError):
                raise GatewayError("upstream_pool_timeout") from None
            raise

    def _forget(self, waiter: asyncio.Future[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def leave(self) -> None:
        """Give a slot back: to the longest waiting, else to nobody."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.in_flight -= 1

    # -- connections

    def choose(self, tried: Iterable[Target] = ()) -> Target:
        """Return the next target in turn, one that was not tried where there is one.

        Another try takes nobody's turn: else a dead target among two would be the first for all.
        """
        targets = self.targets
        if len(targets) == 1:
            return targets[0]
        at = self._next % len(targets)
        if not tried:
            self._next += 1
            return targets[at]
        in_turn = targets[at:] + targets[:at]
        return next((target for target in in_turn if target not in tried), targets[at])

    def reuse(self, target: Target) -> Connection | None:
        """Return the target's most recent idle connection that is still good, or None."""
        idle = target.idle
        while idle:
            connection = idle.pop()
            if not connection.closed and monotonic() - connection.idle_since < self._keepalive:
                return connection
            connection.close()
        return None

    async def connect(
        self, target: Target, timeouts: Timeouts, attempt: Attempt, started: float
    ) -> Connection:
        """Open a connection to `target`. Raises GatewayError; `failing` shows it to the operator."""
        connection = await target.connect(timeouts, attempt, started)
        connection.on_closed = self._open.discard
        self._open.add(connection)
        return connection

    def give_back(self, target: Target, connection: Connection) -> None:
        """Keep a connection for the next exchange when it may be used again, else close it."""
        now = monotonic()
        old = now - connection.born > self._young and self._too_old(connection, now)
        if old or not connection.reusable or not self._owners:
            connection.close()
            return
        connection.busy = False
        connection.idle_since = now
        target.idle.append(connection)
        if self._sweeper is None:
            self._schedule_sweep()

    def _stale(self, connection: Connection) -> bool:
        return monotonic() - connection.idle_since > self._keepalive

    def _too_old(self, connection: Connection, now: float) -> bool:
        # Jitter spreads the reconnects of connections that were opened together.
        return now - connection.born > self.spec.max_age * random.uniform(0.9, 1.1)  # noqa: S311

    def _schedule_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(max(self.spec.keepalive / 4, 0.05), self._sweep)

    def _sweep(self) -> None:
        """Close idle connections before the target would, the oldest first."""
        self._sweeper = None
        for target in self.targets:
            good = [c for c in target.idle if not c.closed and not self._stale(c)]
            for connection in target.idle:
                if connection not in good:
                    connection.close()
            target.idle[:] = good
        if any(target.idle for target in self.targets):
            self._schedule_sweep()

    # -- life: an upstream outlives a reload that does not change it

    def acquire(self) -> None:
        """One more snapshot uses this upstream."""
        self._owners += 1

    def release(self) -> None:
        """One snapshot less; the last one closes what is idle. Busy connections end by themselves."""
        self._owners -= 1
        if self._owners == 0:
            self._close_idle()

    def _close_idle(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for target in self.targets:
            for connection in target.idle:
                connection.close()
            target.idle.clear()

    @property
    def failing(self) -> str | None:
        """Why no target can be reached, None while one can, as far as the last tries tell."""
        codes = [target.failing for target in self.targets]
        return None if None in codes else codes[0]

    @property
    def used(self) -> bool:
        """Whether anything was ever sent here: of 10,000 upstreams most may be asleep."""
        return bool(self._open or self.in_flight or self._next or self.retries)

    def status(self) -> UpstreamStatus:
        """Return what the pool holds now."""
        idle = sum(len(target.idle) for target in self.targets)
        return UpstreamStatus(
            name=self.name,
            open=len(self._open),
            idle=idle,
            in_flight=self.in_flight,
            waiting=len(self._waiters),
        )
