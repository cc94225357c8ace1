"""What comes from a client: heads with their bounds in bytes and time, and what is left at an end.

Names of aiohttp's that begin with an underscore are pinned as those of `protocol` are.
"""

from __future__ import annotations

import asyncio
import fcntl
import termios
from typing import TYPE_CHECKING, Any

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo

from proxy.errors import GatewayError
from proxy.server.writing import WritingSide
from proxy.timer import Deadline

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from proxy.server.server import GatewayServer

LAST_CALL = 0.3
"""Seconds that an idle connection is given for one more request while the gateway drains."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024


class ReadingSide(WritingSide):
    """The half of a client's connection that reads.

    `serving` tells whether a request is being answered, `closing` whether answers say that the
    connection ends, `oversized` whether a head was over the sum of `limits`.
    """

    __slots__ = (
        "_arriving",
        "_head_bytes",
        "_head_started",
        "_linger_waiter",
        "_lingered",
        "_payload",
        "_timer",
        "closing",
        "oversized",
        "serving",
    )

    _manager: GatewayServer

    def __init__(
        self, server: GatewayServer, *, loop: asyncio.AbstractEventLoop, **kwargs: Any
    ) -> None:
        super().__init__(server, loop=loop, **kwargs)
        self._timer = Deadline(loop, self._on_timer)
        self._arriving: StreamReader | None = None
        self._head_bytes = 0
        self._head_started = False
        self._payload: StreamReader | None = None
        self._linger_waiter: asyncio.Future[None] | None = None
        self._lingered = 0
        self.serving = False
        self.closing = False
        self.oversized = False

    def data_received(self, data: bytes) -> None:
        """Parse, as aiohttp's does, and count what a head takes before it is whole."""
        parser = self._parser
        if self._linger_waiter is not None:
            self._discard(data)
        elif self._payload_parser is not None or self._upgraded or parser is None:
            super().data_received(data)  # a tunnel's bytes
        elif not (self._close or self._force_close):
            try:
                messages, self._upgraded, tail = parser.feed_data(data)
            except HttpProcessingError as error:
                messages, tail = [(_ErrInfo(400, error, error.message), EMPTY_PAYLOAD)], b""
                self._tell_reader()
            if messages:
                self._enqueue(messages, len(data))
            elif data and not self._in_body():
                self._head_goes_on(len(data))
            if tail:
                self._message_tail = tail

    def _enqueue(self, messages: list[Any], size: int) -> None:
        queue = self._messages
        queue.extend(messages)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if len(queue) >= self._max_msg_queue_size and not self._buffer_paused:
            self._pause_reading_for_buffer()
        if self._head_bytes + size > self._manager.limits.header_total:
            self._check_size(messages)
        self._head_bytes = 0
        self._head_started = False
        payload = messages[-1][1]
        self._arriving = None if payload is EMPTY_PAYLOAD or payload.is_eof() else payload

    def _in_body(self) -> bool:
        """Whether what just came belongs to the body of the last request.

        The piece that ends a body counts as its own, though a next head may begin in it.
        """
        body = self._arriving
        if body is not None and body.is_eof():
            self._arriving = None
        return body is not None

    def _tell_reader(self) -> None:
        """The error is in the body under way, if there is one: its reader must hear of it."""
        payload = self._payload
        if self.serving and payload is not None and not payload.is_eof():
            payload.set_exception(RequestPayloadError("malformed body"))

    def _check_size(self, messages: list[Any]) -> None:
        for message, _ in messages:
            if not isinstance(message, _ErrInfo) and self._is_oversized(message):
                self.oversized = True

    def _is_oversized(self, message: RawRequestMessage) -> bool:
        size = sum([len(n) + len(v) + 4 for n, v in message.raw_headers])
        return size > self._manager.limits.header_total

    def _head_goes_on(self, size: int) -> None:
        self._head_bytes += size
        if not self._head_started:
            self._head_started = True
            self._timer.set(self._manager.timeouts.head)
        limits = self._manager.limits
        # The parser bounds each field and their number; their sum is bounded here.
        if self._head_bytes > limits.request_line + limits.header_total + 1024:
            self._refuse_head("head_too_large")

    def _on_timer(self) -> None:
        if self.serving or self._messages:
            return  # a timer may come between a request's arrival and its task's turn
        if self._head_started:
            self._refuse_head("head_timeout")
        elif self._unread():
            self._timer.set(LAST_CALL)
        else:
            self.force_close()

    def _await_next(self) -> None:
        """Set the timer that bounds the wait for the next request, or for the rest of its head."""
        timeouts = self._manager.timeouts
        if self._head_started:
            self._timer.set(timeouts.head)
        else:
            self._timer.set(LAST_CALL if self.closing else timeouts.keepalive)

    def _refuse_head(self, code: str) -> None:
        """Let `start` answer: it waits for a message, so it is given one."""
        error = GatewayError(code)
        self._messages.append((_ErrInfo(error.status, error, code), EMPTY_PAYLOAD))
        self._close = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- ends

    def _nothing_came(self) -> bool:
        """Whether no byte of a further request is here."""
        return not self._messages and not self._head_started and not self._unread()

    def _unread(self) -> bool:
        """Whether the kernel holds unread bytes of this client: a request, maybe."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        if sock is None:
            return False
        return fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4) != b"\0" * 4

    async def _linger(self) -> None:
        """Half-close and read on for a while, so that a client that still sends gets the answer.

        Closing at once would reset the connection, and the reset overtakes the answer
        (RFC 9112, 9.6).
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._linger_waiter = self._loop.create_future()
        if transport.can_write_eof():
            transport.write_eof()
        self._upgraded = False
        transport.resume_reading()
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._linger_waiter
        except TimeoutError:
            pass
        self.force_close()

    def _discard(self, data: bytes) -> None:
        self._lingered += len(data)
        waiter = self._linger_waiter
        if self._lingered > LINGER_BYTES and waiter is not None and not waiter.done():
            waiter.set_result(None)
