"""The raw path of an answer: from what the chain returned to bytes on the client's connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aiohttp.http import HttpVersion11

from proxy.errors import GatewayError
from proxy.headers import HOP_BY_HOP, LOWER, Field, encode, render, without_texts
from proxy.server.tapping import TappedSink
from proxy.upstream.body import UpstreamBody

if TYPE_CHECKING:
    from proxy.plugin.answer import Answer
    from proxy.plugin.exchange import Exchange
    from proxy.server.protocol import ClientConnection
    from proxy.server.request import Request

_LAST_CHUNK = b"0\r\n\r\n"
_JOIN_BELOW = 4096


_BODILESS = frozenset(
    {HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
)


class ClientSink:
    """Puts a body on the client's connection as it arrives, the head with its first bytes.

    It begins corked: what is fed is held, so that a head and a body that are both here cost one
    system call. `flush` writes what is held and uncorks.
    """

    __slots__ = ("_chunked", "_connection", "_exchange", "_held")

    def __init__(
        self, connection: ClientConnection, exchange: Exchange, head: bytes, *, chunked: bool
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._chunked = chunked
        self._held: list[bytes] | None = [head]

    @property
    def paused(self) -> bool:
        """Whether the client is behind."""
        return self._connection.behind

    def feed(self, data: bytes) -> None:
        """Take body bytes."""
        size = len(data)
        self._exchange.sent += size
        held = self._held
        if held is not None:
            held += (b"%x\r\n" % size, data, b"\r\n") if self._chunked else (data,)
        elif not self._chunked:
            self._write(data)
        elif size < _JOIN_BELOW:
            self._write(b"%x\r\n%b\r\n" % (size, data))
        else:
            self._write(b"%x\r\n" % size)
            self._write(data)
            self._write(b"\r\n")

    def flush(self) -> None:
        """Write what is held."""
        held, self._held = self._held, None
        if held is None:
            return
        self._write(b"".join(held))
        exchange = self._exchange
        exchange.head_sent = perf_counter() - exchange.started

    def end(self, tail: bytes) -> None:
        """Write what is held and `tail`: the last chunk with its trailers, or nothing."""
        if self._held is not None:
            self._held.append(tail)
            self.flush()
        elif tail:
            self._write(tail)

    def _write(self, data: bytes) -> None:
        transport = self._connection.transport
        if transport is not None:
            transport.write(data)


def send(
    connection: ClientConnection, request: Request, answer: Answer
) -> Coroutine[Any, Any, None] | None:
    """Send `answer`: at once where all of it is here, else return what sends the rest.

    Sets `request.keep`: whether the connection may serve another request. The rest raises
    GatewayError when the body breaks off: the head is out by then, so the caller breaks the
    connection and never sends a second head. Raises ConnectionError when the client has left.
    """
    transport = connection.transport
    if transport is None:
        raise ConnectionResetError
    payload = answer.payload()
    content = payload if type(payload) is bytes else None
    if content is not None:
        length: int | None = len(content)
    else:
        length = payload.length if type(payload) is UpstreamBody else None
    status = answer.status
    has_body = request.method != "HEAD" and status not in _BODILESS
    chunked = has_body and length is None and request.version is HttpVersion11
    # An answer that comes while the upload still runs ends the connection (semantics.md, row 19).
    request.keep = (
        request.keep
        and not connection.closing
        and not request.upgrading
        and answer.keep_alive is not False
        and (length is not None or chunked or not has_body)
        and (not request.uploads or request.content.is_eof())
    )
    exchange = request.exchange
    exchange.status = status
    head = _head(request, answer, has_body=has_body, length=length, chunked=chunked)
    if has_body and content is None:
        sink = ClientSink(connection, exchange, head, chunked=chunked)
        if type(payload) is UpstreamBody:
            into = TappedSink(sink, answer.taps) if answer.taps else sink
            return _relay(connection, request, payload, into, chunked=chunked)
        return _iterate(connection, request, answer.body, sink, chunked=chunked)
    if content is None:
        answer.close()
    elif has_body:
        exchange.sent += len(content)
        head += content
    transport.write(head)
    exchange.head_sent = perf_counter() - exchange.started
    return _drained(connection, request) if connection.behind else None


async def _drained(connection: ClientConnection, request: Request) -> None:
    _bound(connection, request)
    await connection.drained()


def _bound(connection: ClientConnection, request: Request) -> None:
    """Cut the client off when it reads nothing for as long as its route allows."""
    if request.route is not None:
        connection.flow(None, request.route.timeouts.write)


def _head(
    request: Request, answer: Answer, *, has_body: bool, length: int | None, chunked: bool
) -> bytes:
    modern = request.version is HttpVersion11
    lines = [_status_line(modern, answer.status, answer.reason)]
    if has_body and answer.untouched:
        lines.append(render(answer.wire_fields()))
        if not answer.dated:
            lines.append(b"Date: %b\r\n" % http_date())
        if chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif length is not None and not answer.framed:
            lines.append(b"Content-Length: %d\r\n" % length)
    else:
        _checked_fields(lines, answer, has_body=has_body, length=length, chunked=chunked)
    if not request.keep:
        lines.append(b"Connection: close\r\n")
    elif not modern:
        lines.append(b"Connection: keep-alive\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


@lru_cache(maxsize=256)
def _status_line(modern: bool, status: int, reason: str) -> bytes:
    return encode(f"HTTP/1.{1 if modern else 0} {status} {reason}\r\n")


def _checked_fields(
    lines: list[bytes], answer: Answer, *, has_body: bool, length: int | None, chunked: bool
) -> None:
    """Add the fields of an answer that was made or edited here, framed anew."""
    announced: bytes | None = None
    dated = False
    for field in answer.wire_fields():
        name = LOWER[field[0]]
        if name not in _NOTED:
            lines.append(b"%b: %b\r\n" % field)
        elif name == b"date":
            dated = True
            lines.append(b"%b: %b\r\n" % field)
        elif name == b"content-length":
            announced = field[1]
    if not dated:
        lines.append(b"Date: %b\r\n" % http_date())
    if chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif has_body:
        if length is not None:
            lines.append(b"Content-Length: %d\r\n" % length)
    elif announced is not None and announced.isdigit() and answer.status not in _LENGTHLESS:
        # A HEAD's or 304's Content-Length speaks of the body that a GET would have brought.
        lines.append(b"Content-Length: %b\r\n" % announced)


_LENGTHLESS = (HTTPStatus.NO_CONTENT, HTTPStatus.SWITCHING_PROTOCOLS)
_FRAMING = frozenset(
    {b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"}
)
_NOTED = _FRAMING | {b"date"}


async def _relay(
    connection: ClientConnection,
    request: Request,
    body: UpstreamBody,
    sink: ClientSink | TappedSink,
    *,
    chunked: bool,
) -> None:
    try:
        whole = body.relay_at_once(sink)
    except GatewayError:
        # What is certain is delivered, and the break is told by breaking. uvloop writes at the end
        # of a turn: breaking in the same one would drop the head too.
        sink.flush()
        await asyncio.sleep(0)
        raise
    if not whole:
        sink.flush()
        connection.flow(body, body.write_timeout)
        try:
            await body.relay(sink)
        finally:
            connection.flow(None, body.write_timeout)
    sink.end(_last_chunk(request, body.trailers) if chunked else b"")


async def _iterate(
    connection: ClientConnection,
    request: Request,
    body: AsyncIterator[bytes],
    sink: ClientSink,
    *,
    chunked: bool,
) -> None:
    _bound(connection, request)
    sink.flush()
    async for chunk in body:
        if connection.transport is None:
            raise ConnectionResetError
        if chunk:
            sink.feed(chunk)
        await connection.drained()
    sink.end(_LAST_CHUNK if chunked else b"")


def _last_chunk(request: Request, trailers: list[Field]) -> bytes:
    """Trailers travel on only to a client that said it would read them, and none that frames."""
    if not trailers or not request.wants_trailers:
        return _LAST_CHUNK
    told = without_texts(trailers, request.exchange.unsaid)
    kept = [field for field in told if LOWER[field[0]] not in _NEVER_TRAILING]
    return b"0\r\n" + render(kept) + b"\r\n"


_NEVER_TRAILING = HOP_BY_HOP | {b"content-length", b"host", b"set-cookie"}
"""What a client might obey though it stands behind the body (RFC 9110, 6.5.1)."""


class _DateCache:
    second = 0
    value = b""


def http_date() -> bytes:
    """Return the time now as an HTTP date, made once a second (RFC 9110, 5.6.7)."""
    now = int(time.time())
    if now != _DateCache.second:
        _DateCache.second = now
        _DateCache.value = formatdate(now, usegmt=True).encode()
    return _DateCache.value


def send_switch(connection: ClientConnection, exchange: Exchange, answer: Answer) -> None:
    """Send the 101 that opens a tunnel. Raises ConnectionError when the client has left."""
    transport = connection.transport
    if transport is None:
        raise ConnectionResetError
    switching = b"HTTP/1.1 101 %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    kept = [field for field in answer.wire_fields() if LOWER[field[0]] not in _FRAMING]
    transport.write(switching % encode(answer.reason) + render(kept) + b"\r\n")
    exchange.status = 101
    exchange.head_sent = perf_counter() - exchange.started
