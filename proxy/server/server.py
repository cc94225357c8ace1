"""The public listener's factory of connections, with its bounds."""

from __future__ import annotations

import logging
import resource
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from aiohttp import http_parser, web
from aiohttp.web_protocol import RequestHandler

from proxy.config.models import ServerLimits, ServerTimeouts
from proxy.errors import ConfigError, GatewayError
from proxy.server.protocol import ClientConnection
from proxy.server.request import Request
from proxy.tasks import Tasks

log = logging.getLogger("brain.server")

DESCRIPTOR_SHARE = 0.4
"""Of the descriptor limit: a proxied exchange takes two, and files and logs need some."""


IN_FLIGHT_SHARE = 0.9
"""Of the connections: what is left of them asks for the gateway's own pages."""


def most_connections(limits: ServerLimits) -> int:
    """Return how many clients' connections may be open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(limits.connections, int(soft * DESCRIPTOR_SHARE))


def most_in_flight(limits: ServerLimits) -> int:
    """Return how many requests may be served at once."""
    if limits.in_flight is not None:
        return limits.in_flight
    return max(1, int(most_connections(limits) * IN_FLIGHT_SHARE))


class Application(Protocol):
    """What the runtime does with a request. Both tell whether the connection may go on."""

    def serve(
        self, connection: ClientConnection, request: Request
    ) -> Coroutine[Any, Any, bool]: ...

    def refuse(
        self, connection: ClientConnection, request: Request, error: GatewayError
    ) -> Coroutine[Any, Any, bool]: ...


class GatewayServer(web.Server):
    """Makes hardened connections and counts them; `limits` and `timeouts` follow a reload."""

    def __init__(
        self,
        application: Application,
        limits: ServerLimits,
        timeouts: ServerTimeouts,
        exempt: Callable[[str], bool],
    ) -> None:
        """`exempt` tells which addresses are trusted proxies, behind which all clients share one."""
        super().__init__(_never, handler_cancellation=True)
        assert_fast_parser()
        self.application = application
        self.limits = limits
        self.timeouts = timeouts
        self.exempt = exempt
        self.tasks = Tasks()
        self.closing = False
        self._by_address: Counter[str] = Counter()
        self._refused = 0
        self._refusal_logged = 0.0

    def __call__(self) -> ClientConnection:
        # Unlike aiohttp's, this does not fall back to defaults when a keyword is unknown to it.
        limits = self.limits
        connection = ClientConnection(
            self,
            loop=self._loop,
            access_log=None,
            auto_decompress=False,
            lingering_time=0,
            keepalive_timeout=0,
            max_line_size=limits.request_line,
            # The parser tells the two apart by the limit alone.
            max_field_size=limits.header_field + (limits.header_field == limits.request_line),
            max_headers=limits.header_count,
            read_bufsize=65536,
        )
        connection.closing = self.closing
        return connection

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def admit(self, address: str) -> bool:
        """Count one more connection from `address`, or refuse it."""
        full = len(self._connections) >= self._bound()
        crowded = self._by_address[address] >= self.limits.per_address and not self.exempt(address)
        if full or crowded:
            self._log_refusal("connections" if full else "per_address")
            if not self._by_address[address]:
                del self._by_address[address]
            return False
        self._by_address[address] += 1
        return True

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Count one connection less, where it was one: a refused connection was never counted."""
        if handler in self._connections and isinstance(handler, ClientConnection):
            address = handler.address
            self._by_address[address] -= 1
            if self._by_address[address] <= 0:
                del self._by_address[address]
        super().connection_lost(handler, exc)

    def _bound(self) -> int:
        return most_connections(self.limits)

    def _log_refusal(self, limit: str) -> None:
        """Log at most one line a second, however many are refused."""
        self._refused += 1
        now = self._loop.time()
        if now - self._refusal_logged >= 1.0:
            log.warning("refused %d connections: limits.%s is reached", self._refused, limit)
            self._refused = 0
            self._refusal_logged = now

    def announce_end(self) -> None:
        """Say `Connection: close` in every answer from now on, on connections yet to come too."""
        self.closing = True
        for connection in self._connections:
            assert isinstance(connection, ClientConnection)
            connection.closing = True

    def drain(self) -> None:
        """Let every connection end after what it is doing."""
        for connection in list(self._connections):
            assert isinstance(connection, ClientConnection)
            connection.drain()

    def abort(self) -> None:
        """Break every connection that is left."""
        for connection in list(self._connections):
            assert isinstance(connection, ClientConnection)
            connection.cut = True
            connection.abort()


def assert_fast_parser() -> None:
    """Raise ConfigError on aiohttp's pure-Python parser: slower, and other in what it refuses."""
    if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise ConfigError(
            "aiohttp runs on its pure-Python parser",
            hint="install aiohttp from a wheel and unset AIOHTTP_NO_EXTENSIONS",
        )


async def _never(_request: Any) -> web.StreamResponse:
    raise AssertionError("requests go to the application")
