"""One target of an upstream: opening a connection to it, each step with its own timer and code."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable
from typing import TypeVar

from proxy.config.models import TargetSpec, Timeouts, UpstreamTls
from proxy.errors import GatewayError
from proxy.plugin.context import TargetStatus
from proxy.plugin.exchange import Attempt, now_since
from proxy.upstream.connection import Connection
from proxy.upstream.resolver import Resolver, SocketAddress
from proxy.upstream.standing import Standing

T = TypeVar("T")


class Target:
    """A target and its idle connections, the most recently used last.

    A name that has several addresses is as many targets: `addresses` are then those of this one, in
    the order in which they are tried. None looks the name up for each connection.

    `failing` is the code of the last try to connect when that failed, for the operator; `reached`
    tells whether any try ever succeeded. `standing` is None where nothing watches it; `gone` tells
    that it is no target any more, and keeps no connection.
    """

    __slots__ = (
        "_context",
        "_resolver",
        "_server_name",
        "addresses",
        "authority",
        "failing",
        "gone",
        "idle",
        "in_flight",
        "label",
        "reached",
        "spec",
        "standing",
    )

    def __init__(
        self,
        spec: TargetSpec,
        tls: UpstreamTls,
        resolver: Resolver,
        context: ssl.SSLContext | None,
        addresses: tuple[SocketAddress, ...] | None = None,
    ) -> None:
        self.spec = spec
        self.addresses = addresses
        self.label = f"{spec} at {addresses[0][1][0]}" if addresses else str(spec)
        self.in_flight = 0
        self.standing: Standing | None = None
        self.gone = False
        self.authority = spec.authority
        self.idle: list[Connection] = []
        self.failing: str | None = None
        self.reached = False
        self._resolver = resolver
        self._context = context if spec.scheme == "https" else None
        self._server_name = tls.server_name or spec.host

    def __repr__(self) -> str:
        return f"<Target {self.label} idle={len(self.idle)}>"

    async def connect(self, timeouts: Timeouts, attempt: Attempt, started: float) -> Connection:
        """Open a connection: resolve, connect, TLS. Raises GatewayError with the step's own code."""
        try:
            connection = await self._open(timeouts, attempt, started)
        except GatewayError as error:
            self.failing = error.code
            several = self.addresses is not None
            self._resolver.doubt(self.spec.host, self.spec.port, at_once=several)
            raise
        self.failing = None
        self.reached = True
        return connection

    def status(self) -> TargetStatus:
        """Return how it stands now."""
        standing = self.standing
        if standing is None:
            return TargetStatus(self.label, "ok", self.in_flight, len(self.idle))
        return TargetStatus(
            self.label,
            standing.state,
            self.in_flight,
            len(self.idle),
            reason=standing.reason,
            ejections=0 if standing.watch is None else standing.watch.ejections,
            openings=0 if standing.breaker is None else standing.breaker.openings,
            checks_passed=standing.checks[True],
            checks_failed=standing.checks[False],
        )

    async def _open(self, timeouts: Timeouts, attempt: Attempt, started: float) -> Connection:
        addresses = await self._addresses(timeouts)
        attempt.resolved = now_since(started)
        sock = await _within(timeouts.connect, _connect_any(addresses), "upstream_connect_timeout")
        attempt.connected = now_since(started)
        connection = await self._adopt(sock, timeouts)
        attempt.secured = now_since(started) if self._context is not None else None
        return connection

    async def _addresses(self, timeouts: Timeouts) -> tuple[SocketAddress, ...]:
        if self.addresses is not None:
            return self.addresses
        host, port = self.spec.host, self.spec.port
        looked_up = self._resolver.resolve(host, port)
        try:
            return await _within(timeouts.resolve, looked_up, "upstream_resolve_timeout")
        except GatewayError as error:
            known = self._resolver.last_good(host, port)
            if known is None or error.code != "upstream_resolve_timeout":
                raise
            return known

    async def _adopt(self, sock: socket.socket, timeouts: Timeouts) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(loop, self.label)
        if self._context is None:
            await loop.create_connection(lambda: connection, sock=sock)
            return connection
        handshake = loop.create_connection(
            lambda: connection, sock=sock, ssl=self._context, server_hostname=self._server_name
        )
        try:
            await _within(timeouts.tls, handshake, "upstream_tls_timeout")
        except (ssl.SSLError, OSError) as error:
            sock.close()
            raise GatewayError(
                "upstream_tls_failed", log=f"{self.label}: {_reason(error)}"
            ) from None
        return connection


async def _within(seconds: float, waited: Awaitable[T], code: str) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await waited
    except TimeoutError:
        raise GatewayError(code) from None


async def _connect_any(addresses: tuple[SocketAddress, ...]) -> socket.socket:
    """Try the addresses in the resolver's order (RFC 6724); the last failure is told."""
    failure: GatewayError | None = None
    for family, address in addresses:
        try:
            return await _connect(family, address)
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            code = "upstream_connect_refused" if refused else "upstream_connect_failed"
            failure = GatewayError(code, log=f"{address[0]}: {error.strerror}")
    raise failure or GatewayError("upstream_unresolved")


async def _connect(family: socket.AddressFamily, address: tuple[str | int, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return getattr(error, "reason", None) or type(error).__name__
