"""One pool per upstream: what may be in flight, who waits, which connections are idle."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING

from proxy.config.models import Timeouts, UpstreamSpec
from proxy.errors import GatewayError
from proxy.plugin.context import UpstreamStatus
from proxy.plugin.exchange import Attempt
from proxy.tasks import Tasks
from proxy.upstream.budget import RetryBudget
from proxy.upstream.connection import Connection
from proxy.upstream.group import Group
from proxy.upstream.health import HealthChecks
from proxy.upstream.members import Members
from proxy.upstream.resolver import Resolver, SocketAddress
from proxy.upstream.target import Target

if TYPE_CHECKING:
    from ssl import SSLContext

    from proxy.upstream.origins import Origins


class Upstream:
    """A named pool of interchangeable targets. A hanging upstream can't starve another.

    A slot is one exchange in flight; at most `concurrent` are given out, at most `queue` wait for
    one. Every slot that `enter` gave must be given back by `leave`. `group` chooses targets, `budget`
    says whether a request may be tried again, `retries` counts those that were, by their reason.
    `origins` are the pools of tenants' hosts that requests were sent to in its place, if any were.
    """

    def __init__(
        self,
        spec: UpstreamSpec,
        context: SSLContext | None,
        resolver: Resolver | None = None,
        kind: type[Target] = Target,
    ) -> None:
        """`context` is None where no target speaks TLS; `kind` is what makes the targets."""
        self.spec = spec
        self.name = spec.name
        self.context = context
        self._resolver = resolver or Resolver(spec.resolve_ttl)
        self._resolver.found = self._found
        self.members = Members(spec, context, self._resolver, kind)
        self.origins: Origins | None = None
        self.group = Group(spec)
        self.budget = RetryBudget()
        self._requests = self.budget.requests
        self._tasks = Tasks()
        self._looking_up: asyncio.TimerHandle | None = None
        self._asked = 0
        self._keepalive = spec.keepalive
        self._young = spec.max_age * 0.9
        self.in_flight = 0
        self.retries: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._owners = 0

    def __repr__(self) -> str:
        return f"<Upstream {self.name} in_flight={self.in_flight} open={len(self._open)}>"

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets as they are now."""
        return self.group.members

    # -- slots

    def try_enter(self) -> bool:
        """Take a slot if one is free."""
        self._requests.count += 1
        if self.in_flight >= self.spec.concurrent:
            return False
        self.in_flight += 1
        return True

    async def enter(self, timeout: float) -> None:
        """Take a slot, waiting at most `timeout` seconds.

        Raises GatewayError `upstream_saturated` at once when the queue is full, or
        `upstream_pool_timeout`.
        """
        if self.in_flight < self.spec.concurrent:
            self.in_flight += 1
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

    def reuse(self, target: Target) -> Connection | None:
        """Return the target's most recent idle connection that is still good, or None."""
        idle = target.idle
        if not idle:
            return None
        oldest = monotonic() - self._keepalive
        while idle:
            connection = idle.pop()
            transport = connection.transport
            # What `closed` says, without the call of a property.
            ended = transport is None or transport.is_closing()
            if connection.idle_since > oldest and not ended:
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
        if self._looking_up is None and self.members.names and self._owners:
            self._look_up_later()
        return connection

    def give_back(self, target: Target, connection: Connection) -> None:
        """Keep a connection for the next exchange when it may be used again, else close it."""
        now = monotonic()
        old = now - connection.born > self._young and self._too_old(connection, now)
        if old or not connection.reusable or target.gone or not self._owners:
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

    def acquire(self, former: Upstream | None = None) -> None:
        """One more snapshot uses this upstream; the first one starts the checks of its targets.

        `former` is what it replaces under the same name: what is known of its targets is kept.
        """
        self._owners += 1
        if self._owners > 1:
            return
        if former is not None:
            self.members.inherit(former.members)
        self.group.set_members(self.members.all())
        if self.spec.health is not None:
            checks = HealthChecks(self.spec.health, self.group, self._tasks)
            self._tasks.spawn(checks.run(), name=f"health of {self.name}")

    @property
    def owned(self) -> bool:
        """Whether a snapshot has it."""
        return self._owners > 0

    def release(self) -> None:
        """One snapshot less; the last one closes what is idle. Busy connections end by themselves."""
        self._owners -= 1
        if self._owners == 0:
            if self.origins is not None:
                self.origins.close()
            self._tasks.stop()
            self.group.close()
            for timer in (self._sweeper, self._looking_up):
                if timer is not None:
                    timer.cancel()
            self._sweeper = self._looking_up = None
            self._close_idle(self.targets)

    def _close_idle(self, targets: Iterable[Target]) -> None:
        for target in targets:
            for connection in target.idle:
                connection.close()
            target.idle.clear()

    # -- names: one that has several addresses is as many targets

    def _look_up_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._asked = self._requests.count
        self._looking_up = loop.call_later(self.spec.resolve_ttl, self._look_up)

    def _look_up(self) -> None:
        """Look names up again while they are used: connections that live on would never ask."""
        self._looking_up = None
        if self._requests.count == self._asked:
            return
        for host, port in self.members.names:
            self._tasks.spawn(self._resolver.refresh(host, port), name=f"resolve {host}")
        self._look_up_later()

    def _found(self, host: str, port: int, addresses: tuple[SocketAddress, ...]) -> None:
        # A look-up may end when nobody has this upstream any more.
        if not self._owners or not self.members.found(host, port, addresses):
            return
        before = self.targets
        self.group.set_members(self.members.all())
        self._close_idle(target for target in before if target.gone)

    @property
    def failing(self) -> str | None:
        """Why no target can be reached, None while one can, as far as the last tries tell."""
        codes = [target.failing for target in self.targets if not target.spec.nowhere]
        return None if None in codes or not codes else codes[0]

    @property
    def used(self) -> bool:
        """Whether anything was ever sent here, checks too: of 10,000 upstreams most may be asleep."""
        asked = self._open or self.in_flight or self._requests.count or self.origins
        return bool(asked or self.spec.health is not None)

    @property
    def open(self) -> int:
        """How many connections there are, idle or not."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many exchanges wait for a slot."""
        return len(self._waiters)

    def status(self) -> UpstreamStatus:
        """Return what the pool holds now, with those of tenants' hosts beside it."""
        pools: list[Upstream] = [self, *(self.origins or ())]
        return UpstreamStatus(
            name=self.name,
            open=sum(one.open for one in pools),
            idle=sum(len(target.idle) for one in pools for target in one.targets),
            in_flight=sum(one.in_flight for one in pools),
            waiting=sum(one.waiting for one in pools),
            panicking=self.group.panicking,
            retries_refused=sum(one.budget.refused for one in pools),
            targets=[target.status() for target in self.targets],
            concurrent=self.spec.concurrent,
            queue=self.spec.queue,
            origins=len(pools) - 1,
        )
