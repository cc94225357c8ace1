"""Pools of hosts that tenants name: beside an upstream, by its policies, and each for itself."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

from proxy.config.models import Balance, TargetSpec, Timeouts, UpstreamSpec, UpstreamTls
from proxy.errors import ConfigError, GatewayError
from proxy.plugin.exchange import Attempt
from proxy.plugin.hosts import Network, Origin
from proxy.upstream.connection import Connection
from proxy.upstream.pool import Upstream
from proxy.upstream.public import admitted
from proxy.upstream.resolver import Answered, Resolver, SocketAddress
from proxy.upstream.target import Target
from proxy.upstream.tls import client_context

if TYPE_CHECKING:
    from ssl import SSLContext

MOST = 1000
"""Origins that are kept for one upstream. Those with a request under way may be more."""

LOOK_UPS = 4
"""Names of tenants that are looked up at once.

A tenant may name a host whose name servers never answer. The threads that wait for them are none of
those by which the file's own upstreams are found.
"""


class Origins:
    """The pools of the origins that one upstream's requests were sent to.

    The one that was not used for longest goes first, and none while a request is on it. They end
    with their upstream, and live on over a reload as it does.
    """

    def __init__(self, upstream: Upstream, most: int = MOST) -> None:
        # The upstream itself has this: it would be a cycle.
        self._spec = upstream.spec
        self._context = upstream.context
        self._retries = upstream.retries
        self._closed = not upstream.owned
        self._most = most
        self._pools: OrderedDict[Origin, TenantUpstream] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Origins of {self._spec.name}: {len(self._pools)}>"

    def __len__(self) -> int:
        return len(self._pools)

    def __iter__(self) -> Iterator[Upstream]:
        return iter(self._pools.values())

    async def pool(self, origin: Origin) -> Upstream:
        """Return the pool of an origin. Raises GatewayError `upstream_tls_failed`.

        Between it and the taking of a slot nothing may be awaited: the pool could go meanwhile.
        """
        found = self._pools.get(origin)
        if found is None:
            context = await self._verifying()
            found = self._pools.get(origin) or self._made(origin, context)
        if not self._closed:
            self._pools.move_to_end(origin)
        return found

    async def _verifying(self) -> SSLContext:
        """Return the context of the file's upstream if that verifies, else one that does."""
        if self._context is not None and self._spec.tls.verify:
            return self._context
        try:
            return await asyncio.to_thread(client_context, UpstreamTls(ca=self._spec.tls.ca))
        except ConfigError as error:
            raise GatewayError("upstream_tls_failed", log=str(error)) from None

    def _made(self, origin: Origin, context: SSLContext) -> TenantUpstream:
        made = TenantUpstream(self._spec, origin, context, self._retries)
        made.acquire()
        if self._closed:
            # A request of a snapshot that has ended: nobody would close what it leaves.
            made.release()
            return made
        self._pools[origin] = made
        self._make_room()
        return made

    def _make_room(self) -> None:
        for _ in range(len(self._pools) - 1):
            if len(self._pools) <= self._most:
                return
            origin, oldest = next(iter(self._pools.items()))
            if oldest.in_flight:
                self._pools.move_to_end(origin)
            else:
                del self._pools[origin]
                oldest.release()

    def close(self) -> None:
        """Close what is idle. Busy connections end by themselves."""
        self._closed = True
        for pool in self._pools.values():
            pool.release()
        self._pools.clear()


def origins_of(upstream: Upstream) -> Origins:
    """Return the origins of an upstream of the file."""
    if upstream.origins is None:
        upstream.origins = Origins(upstream)
    return upstream.origins


class TenantUpstream(Upstream):
    """The pool of one origin: the policies are the upstream's, all counts but the retries its own."""

    def __init__(
        self, spec: UpstreamSpec, origin: Origin, context: SSLContext, retries: Counter[str]
    ) -> None:
        own = replace(
            spec,
            targets=(TenantTargetSpec("https", origin.host, origin.port, alias=origin.alias),),
            path=origin.path,
            # What the file says of its own target does not hold for a stranger's.
            tls=UpstreamTls(ca=spec.tls.ca),
            balance=Balance(),
            health=None,
        )
        resolver = TenantResolver(spec.resolve_ttl, origin.networks)
        super().__init__(own, context, resolver, TenantTarget)
        self.retries = retries

    def release(self) -> None:
        """As of any upstream; and leave no cycle, since a collector may never look at this one."""
        super().release()
        if not self.owned:
            self._resolver.found = None


class TenantResolver(Resolver):
    """Finds only addresses that may be connected to; what was found is what is connected to."""

    def __init__(self, ttl: float, networks: tuple[Network, ...]) -> None:
        super().__init__(ttl)
        self._networks = networks

    def admitted(self, addresses: tuple[SocketAddress, ...]) -> tuple[SocketAddress, ...]:
        """Leave out what is not public. Raises GatewayError `tenant_address_refused`."""
        return admitted(addresses, self._networks)

    async def ask(self, host: str, port: int) -> Answered:
        """Ask the system in threads of tenants alone."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_threads(), _ask, host, port)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="tenants-names")


def _ask(host: str, port: int) -> Answered:
    return cast("Answered", socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


@dataclass(frozen=True, slots=True)
class TenantTargetSpec(TargetSpec):
    """A target whose text is a name that is not its host."""

    alias: str = ""

    def __str__(self) -> str:
        return self.alias


_REASONED = frozenset({"upstream_unresolved", "upstream_tls_failed"})
"""Errors whose reasons are told. asyncio writes the address into why a connection failed."""


class TenantTarget(Target):
    """A target that no log tells the host or the address of: they came from a secret."""

    __slots__ = ()

    def __init__(
        self,
        spec: TargetSpec,
        tls: UpstreamTls,
        resolver: Resolver,
        context: SSLContext | None,
        addresses: tuple[SocketAddress, ...] | None = None,
    ) -> None:
        super().__init__(spec, tls, resolver, context, addresses)
        self.label = _label(str(spec), addresses)

    async def connect(self, timeouts: Timeouts, attempt: Attempt, started: float) -> Connection:
        """Open a connection as to any target. What an error tells the log has another place in it."""
        try:
            return await super().connect(timeouts, attempt, started)
        except GatewayError as error:
            # One error may be several requests' that waited for one look-up: twice is as once.
            _, colon, reason = error.log.rpartition(": ")
            reason = reason.replace(self.spec.host, "its host")
            told = colon and error.code in _REASONED
            error.log = f"{self.label}: {reason}" if told else self.label
            raise


def _label(alias: str, addresses: tuple[SocketAddress, ...] | None) -> str:
    """Return what a target is called: several of one host are told apart by a digest."""
    if not addresses:
        return alias
    digest = blake2b(str(addresses[0][1][0]).encode(), digest_size=3).hexdigest()
    return alias.replace("//", f"//{digest}.", 1)
