"""One HTTP/1.1 connection to a target, on llhttp.

It carries one exchange at a time: write a head and a body, `await head()`, then either relay the
body into a sink as it arrives (`relay`) or iterate over it. What is certain is delivered; anything
odd behind it retires the connection (RFC 9112, 6.3 and 9.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Protocol

import httptools

from proxy.errors import GatewayError
from proxy.headers import Field
from proxy.timer import Deadline
from proxy.upstream.head import Head, HeadBounds

HIGH_WATER = 64 * 1024
"""Bytes held for a reader before the target is told to wait."""

Informational = Callable[[int, list[Field]], None]


class Sink(Protocol):
    """Where `relay` puts the body: synchronous, with `paused` telling when to hold."""

    paused: bool

    def feed(self, data: bytes) -> None: ...


class Connection(asyncio.Protocol):
    """A connection that is being used, idle in its pool, or closed.

    Every wait ends by an answer, by `GatewayError`, or by a deadline that makes one. `reusable`
    tells, once the body is complete, whether another exchange may follow.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, label: str = "") -> None:
        self._loop = loop
        self.label = label
        self.transport: asyncio.Transport | None = None
        self.born = self.idle_since = monotonic()
        self.uses = 0
        self.on_closed: Callable[[Connection], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self._on_tunnel_end: Callable[[GatewayError | None], None] | None = None
        self._deadline = Deadline(loop, self._expired)
        self._parser: httptools.HttpResponseParser | None = None
        self._method = "GET"
        self._bounds = HeadBounds()
        self._informational: Informational | None = None
        self._upgrade_asked = False
        self._reason = b""
        self._fields: list[Field] = []
        self._body_waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._expiry = "upstream_response_timeout"
        self._idle_timeout = 60.0
        self.busy = False
        self._write_paused = False
        self._drain_waiter: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._reset()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "busy" if self.busy else "idle"
        return f"<Connection {self.label} {state} uses={self.uses}>"

    def _reset(self) -> None:
        self.complete = False
        self.upgraded = False
        self.keep = False
        self.trailers: list[Field] = []
        self.body_received = 0
        self._head_size = 0
        self._head: Head | None = None
        self._head_waiter: asyncio.Future[Head] | None = None
        self._chunks: list[bytes] = []
        self._held = 0
        self._remaining: int | None = None
        self._error: GatewayError | None = None

    # -- life

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self.transport is None or self.transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether the exchange ended so that another may follow on this connection."""
        return self.complete and self.keep and not self.closed and self._error is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # asyncio gives the base class
        transport.set_write_buffer_limits(high=HIGH_WATER)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.close()
        self.transport = None
        self._fail(
            "upstream_reset_before_headers" if self._head is None else "upstream_reset_mid_body"
        )
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)
        if self.on_closed is not None:
            self.on_closed(self)
        if self._on_tunnel_end is not None:
            self._on_tunnel_end(None)

    def close(self) -> None:
        """Close now. Bytes that wait to be written are dropped: nobody would read an answer."""
        self._deadline.close()
        if self.transport is not None:
            self.transport.abort()

    # -- writing

    def begin(
        self,
        method: str,
        bounds: HeadBounds,
        informational: Informational | None,
        *,
        upgrade: bool = False,
    ) -> None:
        """Start an exchange. `informational` is called for every 1xx but 100 and 101.

        Without `upgrade`, a 101 is an invalid answer.
        """
        self._reset()
        self._upgrade_asked = upgrade
        self.busy = True
        self.uses += 1
        self._method = method
        self._bounds = bounds
        self._informational = informational
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)

    def write(self, data: bytes) -> None:
        """Send bytes; a lost connection is told by `head()`, which may still have an answer."""
        if self.transport is not None:
            self.transport.write(data)

    @property
    def writable(self) -> bool:
        """Whether `write` may go on without `drain`."""
        return not self._write_paused

    async def drain(self) -> None:
        """Wait until the target has read most of what was written, or has gone."""
        if not self._write_paused or self.transport is None:
            return
        self._drain_waiter = self._loop.create_future()
        await self._drain_waiter

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if self.on_writable is not None:
            self.on_writable()

    # -- timers

    def expire_in(self, seconds: float, code: str) -> None:
        """Fail the exchange with `code` in `seconds`, unless this is called again before."""
        self._expiry = code
        self._deadline.set(seconds)

    def hold_timer(self) -> None:
        """Let no time run: the gateway waits for the client, not for this target."""
        self._deadline.clear()

    def body_timeout(self, seconds: float, code: str) -> None:
        """Fail the exchange with `code` when the body pauses for `seconds`, from now on."""
        self._idle_timeout = seconds
        self._expiry = code
        if not self.complete:
            self._deadline.set(seconds)

    def _expired(self) -> None:
        self._fail(self._expiry)
        self.close()

    # -- the answer's head

    async def head(self) -> Head:
        """Wait for the final head. Raises GatewayError when it does not come or is not valid."""
        return await self.head_waiter()

    def head_waiter(self) -> asyncio.Future[Head]:
        """Return the future that `head` waits for."""
        waiter = self._head_waiter
        if waiter is None:
            waiter = self._head_waiter = self._loop.create_future()
            if self._head is not None:
                waiter.set_result(self._head)
            elif self._error is not None:
                waiter.set_exception(self._error)
        return waiter

    def data_received(self, data: bytes) -> None:
        if self._remaining is not None:
            self._rest_of_body(data)
        elif self.upgraded:
            self._deliver(data)
        elif not self.busy or self._parser is None or self.complete:
            self._unasked()
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except GatewayError as error:
            self._fail_with(error)
            self.close()
        except httptools.HttpParserError as error:
            self._parse_error(error)
        else:
            self._after_parse(len(data))

    def _parse_error(self, error: Exception) -> None:
        cause = error.__context__
        if isinstance(cause, GatewayError):
            self._fail_with(cause)
        elif self.complete:
            self.keep = False
        else:
            code = "upstream_invalid_response" if self._head is None else "upstream_reset_mid_body"
            self._fail_with(GatewayError(code, log=f"llhttp: {type(error).__name__}"))
        if not self.complete or self._error is not None:
            self.close()

    def _after_parse(self, size: int) -> None:
        head = self._head
        if head is None:
            self._head_size += size
            if self._head_size > self._bounds.total + 1024:
                self._fail("upstream_head_too_large")
                self.close()
        elif head.length is not None and not self.complete and head.has_body:
            # What is left is counted here, past llhttp: it has nothing more to say on it.
            self._remaining = head.length - self.body_received
            self._parser = None

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep = False
            raise GatewayError("upstream_invalid_response", log="bytes after a complete answer")
        self._reason = b""
        self._fields = []

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        fields = self.trailers if self._head is not None else self._fields
        fields.append((name, value.rstrip(b" \t")))
        bounds = self._bounds
        if len(name) + len(value) > bounds.field or len(fields) > bounds.count:
            raise GatewayError("upstream_head_too_large")

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        fields = self._fields
        self._bounds.check(fields)
        if status < 200 and status != 101:
            self._inform(status, fields)
            return
        if status == 101 and not self._upgrade_asked:
            raise GatewayError("upstream_upgrade_unasked")
        head = Head(status, self._reason, fields, self._method)
        self.keep = parser.should_keep_alive() and head.delimited
        self._head = head
        if self._head_waiter is not None and not self._head_waiter.done():
            self._head_waiter.set_result(head)
        if head.has_body:
            self._deadline.clear()
        else:
            self._finish()
            # llhttp does not know that a HEAD has no body: it would wait for one.
            if self._method == "HEAD":
                self._parser = None

    def _inform(self, status: int, fields: list[Field]) -> None:
        if status != 100 and self._informational is not None:
            self._informational(status, fields)

    # -- the answer's body

    def on_body(self, data: bytes) -> None:
        head = self._head
        if head is None or not head.has_body:
            self.keep = False
            return
        self._deliver(data)

    def on_message_complete(self) -> None:
        if self._head is not None and not self.complete:
            self._finish()

    def _rest_of_body(self, data: bytes) -> None:
        assert self._remaining is not None
        if self.complete:
            self._unasked()
            return
        extra = len(data) - self._remaining
        if extra > 0:
            data = data[: self._remaining]
            self.keep = False
        self._remaining -= len(data)
        self._deliver(data)
        if self._remaining == 0:
            self._remaining = None
            self._finish()

    def _deliver(self, data: bytes) -> None:
        self.body_received += len(data)
        sink = self._sink
        if sink is not None:
            if not self.upgraded:
                self._deadline.set(self._idle_timeout)
            sink.feed(data)
            if sink.paused:
                self.pause()
            return
        self._chunks.append(data)
        self._held += len(data)
        if self._held >= HIGH_WATER:
            self.pause()
        self._wake()

    def _finish(self) -> None:
        self.complete = True
        self._deadline.clear()
        self._wake()

    def _wake(self) -> None:
        waiter = self._body_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def eof_received(self) -> bool:
        head = self._head
        if head is not None and not self.complete and not head.delimited:
            self._finish()
        self.keep = False
        return False

    def take_whole(self) -> bytes | None:
        """Return the body when all of it has arrived, else None and nothing is taken."""
        if not self.complete:
            return None
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def relay_at_once(self, sink: Sink) -> bool:
        """Feed the part of the body that is here to `sink`. Return whether that was all of it.

        Raises GatewayError when the body broke off.
        """
        chunks, self._chunks = self._chunks, []
        self._held = 0
        for chunk in chunks:
            sink.feed(chunk)
        if self._error is not None and not self.complete:
            raise self._error
        return self.complete

    async def relay(self, sink: Sink) -> None:
        """Feed the body to `sink` until it is complete. Raises GatewayError when it breaks off.

        No task runs per chunk: what arrives is written on at once, and `sink.paused` stops reading.
        """
        if self.relay_at_once(sink):
            return
        self._sink = sink
        self._deadline.set(self._idle_timeout)
        if not sink.paused:
            self.resume()
        await self._wait()
        self._sink = None

    def tunnel(self, sink: Sink, ended: Callable[[GatewayError | None], None]) -> None:
        """Feed all that comes to `sink`, without a deadline of our own, until the target ends."""
        self._deadline.close()
        self._on_tunnel_end = ended
        if self.closed:
            ended(None)
        for chunk in self._chunks:
            sink.feed(chunk)
        self._chunks = []
        self._sink = sink
        self.resume()

    async def _wait(self) -> None:
        self._body_waiter = self._loop.create_future()
        try:
            await self._body_waiter
        finally:
            self._body_waiter = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises GatewayError when it breaks off."""
        while True:
            while self._chunks:
                chunk = self._chunks.pop(0)
                self._held -= len(chunk)
                yield chunk
            if self._held < HIGH_WATER:
                self.resume()
            if self.complete and not self._chunks:
                return
            if self._error is not None:
                raise self._error
            if not self._chunks:
                self._deadline.set(self._idle_timeout)
                await self._wait()

    def pause(self) -> None:
        """Stop reading: the reader of the body is behind. Its slowness is not the target's."""
        self._deadline.clear()
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._reading_paused and self.transport is not None:
            self._reading_paused = False
            self.transport.resume_reading()
            if self._sink is not None and not self.upgraded:
                self._deadline.set(self._idle_timeout)

    # -- what should not happen

    def _unasked(self) -> None:
        self.keep = False
        self.close()

    def _upgrade(self, early: bytes) -> None:
        self.upgraded = True
        self.keep = False
        if early:
            self._deliver(early)

    def _fail(self, code: str) -> None:
        if self.busy and not self.complete and self._error is None:
            self._fail_with(GatewayError(code, log=self.label))

    def _fail_with(self, error: GatewayError) -> None:
        if self.complete or self._error is not None:
            return
        self._error = error
        self.keep = False
        for waiter in (self._head_waiter, self._body_waiter):
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
