"""The hardened server side of one client connection.

Everything here that begins with an underscore and belongs to aiohttp is pinned by
`tests/server/test_pinned_names.py`: no other folder uses such names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp.http import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from proxy.errors import GatewayError
from proxy.forwarded import forwarded_lines
from proxy.plugin.exchange import Client
from proxy.server.checks import check, check_expectation, from_parser
from proxy.server.reading import LAST_CALL, ReadingSide
from proxy.server.request import Request

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

    from proxy.server.server import GatewayServer
    from proxy.tasks import Tasks

UNREADABLE = RawRequestMessage(
    "-", "", HttpVersion11, CIMultiDictProxy(CIMultiDict()), (), True, None, False, False, URL("/")
)
"""Stands in for a request that could not be parsed."""


class Tunnel(Protocol):
    """Takes the connection's bytes once both sides have switched protocols."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]: ...

    def feed_eof(self) -> None: ...


class ClientConnection(ReadingSide):
    """One client: parses requests, serves them one after the other, ends well.

    aiohttp's `start`, its timers and its error answers are replaced: theirs cut a half-sent head
    silently, answer as HTTP/1.0 text and reuse a connection after an early answer. One task serves
    all requests of a connection; aiohttp would make one more for each.
    """

    __slots__ = ("_client", "_forwarded", "address", "scheme")

    def __init__(
        self, server: GatewayServer, *, loop: asyncio.AbstractEventLoop, **kwargs: Any
    ) -> None:
        super().__init__(server, loop=loop, **kwargs)
        self._forwarded: tuple[tuple[object, ...], bytes] = ((), b"")
        self._client: Client | None = None
        self.address = ""
        self.scheme = "http"

    # -- life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        if not self._manager.admit(self.address):
            # Never counted in, so never counted out.
            self._manager = None  # type: ignore[assignment]
            transport.abort()  # type: ignore[attr-defined]
            return
        super().connection_made(transport)
        self._timer.set(self._manager.timeouts.head)

    def eof_received(self) -> None:
        """Take a half-close as leaving, as nginx and Envoy do (semantics.md, row 20).

        What waits to be written would hold back `connection_lost`, and with it the cancellation.
        """
        if self._payload_parser is not None:
            self._payload_parser.feed_eof()
        elif self.serving and self._task_handler is not None:
            self._task_handler.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._timer.close()
        self._write_timer.close()
        super().connection_lost(exc)
        if self._linger_waiter is not None and not self._linger_waiter.done():
            self._linger_waiter.set_result(None)

    def drain(self) -> None:
        """Answer what is under way, and what still comes, with `Connection: close`.

        A client that was just answered may be sending its next request: an idle connection is closed
        when nothing has come for `LAST_CALL`, not at once.
        """
        self.closing = True
        if not self.serving and self._nothing_came():
            self._timer.set(LAST_CALL)

    # -- serving

    async def start(self) -> None:
        """Serve requests, one after the other, until one side wants to end."""
        messages = self._messages
        try:
            while True:
                if not messages:
                    self._waiter = self._loop.create_future()
                    await self._waiter
                    self._waiter = None
                message, payload = messages.popleft()
                if self._parser is not None:
                    self._parser.message_consumed()
                if self._buffer_paused:
                    self._read_on()
                self._payload = payload
                self.serving = True
                try:
                    keep = await self._answer(message, payload)
                finally:
                    self.serving = False
                    self._payload = None
                # An answer may have begun, and promised to go on, before the end was announced.
                if not keep:
                    break
                self._await_next()
            if not payload.is_eof() or type(message) is _ErrInfo:
                await self._linger()
        except asyncio.CancelledError:
            self.force_close()
            raise
        finally:
            self._task_handler = None
        if self.transport is not None:
            self.transport.close()

    def _read_on(self) -> None:
        """Let the transport go on once few requests are left in the queue."""
        if len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    def _answer(
        self, message: RawRequestMessage | _ErrInfo, payload: StreamReader
    ) -> Coroutine[Any, Any, bool]:
        application = self._manager.application
        if isinstance(message, _ErrInfo):
            error = message.exc
            if not isinstance(error, GatewayError):
                error = from_parser(error, self.max_line_size)
            return application.refuse(self, self._request(UNREADABLE, EMPTY_PAYLOAD), error)
        request = self._request(message, payload)
        if self.oversized and self._is_oversized(message):
            return application.refuse(self, request, GatewayError("head_too_large"))
        try:
            check(message)
            if payload is not EMPTY_PAYLOAD:
                check_expectation(message)
        except GatewayError as error:
            return application.refuse(self, request, error)
        return application.serve(self, request)

    def _request(self, message: RawRequestMessage, payload: StreamReader) -> Request:
        return Request(message, payload, self)

    def client(self, host: str) -> Client:
        """Return the client as the connection shows it; its requests mostly name the same host."""
        client = self._client
        if client is None or client.host != host:
            client = self._client = Client(self.address, self.scheme, host)
        return client

    def forwarded(self, chain: str, client: Client, prefix: str, hops: int) -> bytes:
        """Return the lines that tell an upstream who came; requests mostly share them."""
        key = (client, prefix, hops, chain)
        known, lines = self._forwarded
        if known != key:
            lines = forwarded_lines(chain, client.address, client.scheme, client.host, prefix)
            lines += b"X-Brain-Hops: %d\r\n" % (hops + 1)
            self._forwarded = (key, lines)
        return lines

    @property
    def tasks(self) -> Tasks:
        """The server's tasks."""
        return self._manager.tasks

    @property
    def serving_task(self) -> asyncio.Task[None] | None:
        """The task that serves this connection's requests."""
        return self._task_handler

    # -- tunnels

    def switch(self, tunnel: Tunnel) -> None:
        """Give all further bytes to `tunnel`; those that came early go first."""
        self.set_parser(tunnel)  # type: ignore[arg-type]

    def hold_reading(self) -> None:
        """Stop reading from the client: the upstream is behind."""
        if self.transport is not None:
            self.transport.pause_reading()

    def release_reading(self) -> None:
        """Read from the client again."""
        if self.transport is not None:
            self.transport.resume_reading()
