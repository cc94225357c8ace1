"""The client's body on its way: counted, bounded, timed, and asked for when it waits to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from proxy.config.models import Limits, Timeouts
from proxy.errors import GatewayError

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

    from proxy.plugin.exchange import Exchange
    from proxy.plugin.streams import Taps
    from proxy.server.protocol import ClientConnection

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientUpload:
    """An async iterable of the body's chunks. Counts into `exchange.received`.

    Raises GatewayError: `body_too_large` over `limits.request_body`; `body_timeout` when the client
    pauses for `timeouts.body`, or sends slower than `limits.request_rate` once it was waited for
    longer than `limits.request_grace`; `body_invalid` for broken chunks. Only time spent waiting
    for the client counts: a slow upstream is not its fault. `taps` see what goes by.
    """

    __slots__ = (
        "_connection",
        "_exchange",
        "_expects",
        "_limits",
        "_payload",
        "_timeouts",
        "_waited",
        "length",
        "taps",
    )

    def __init__(
        self,
        connection: ClientConnection,
        payload: StreamReader,
        length: int | None,
        exchange: Exchange,
        limits: Limits,
        timeouts: Timeouts,
        *,
        expects: bool,
    ) -> None:
        self._connection = connection
        self._payload = payload
        self.length = length
        self._exchange = exchange
        self._limits = limits
        self._timeouts = timeouts
        self._expects = expects
        self._waited = 0.0
        self.taps: Taps | None = None

    def check_length(self) -> None:
        """Raise GatewayError `body_too_large` when the announced length is over the limit."""
        if self.length is not None and self.length > self._limits.request_body:
            raise GatewayError("body_too_large")

    @property
    def arrived(self) -> bool:
        """Whether all of it is here, so that `take` needs no waiting."""
        return self._payload.is_eof() and self._payload.exception() is None

    def take(self) -> bytes:
        """Return all that is here. Raises GatewayError `body_too_large`."""
        return self._counted(self._payload.read_nowait())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._expects:
            self._expects = False
            self._ask()
        while chunk := await self._next():
            chunk = self._counted(chunk)
            if self.taps is not None:
                self.taps.feed(chunk)
            yield chunk
        if self.taps is not None:
            self.taps.end()

    def _ask(self) -> None:
        """The decision to read was made: only now is the client told to send (RFC 9110, 10.1.1)."""
        transport = self._connection.transport
        if transport is not None and not self._payload.total_bytes:
            transport.write(CONTINUE)

    def _counted(self, chunk: bytes) -> bytes:
        self._exchange.received += len(chunk)
        if self._exchange.received > self._limits.request_body:
            raise GatewayError("body_too_large")
        return chunk

    async def _next(self) -> bytes:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self._timeouts.body):
                chunk = await self._payload.readany()
        except TimeoutError:
            raise GatewayError("body_timeout") from None
        except (RequestPayloadError, HttpProcessingError):
            raise GatewayError("body_invalid") from None
        self._waited += loop.time() - started
        self._check_rate(len(chunk))
        return chunk

    def _check_rate(self, size: int) -> None:
        late = self._waited - self._limits.request_grace
        if size and late > 0 and self._exchange.received + size < late * self._limits.request_rate:
            raise GatewayError("body_timeout")
