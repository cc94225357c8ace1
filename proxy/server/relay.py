"""The raw path of an answer: from what the chain returned to bytes on the client's connection."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aiohttp.http import HttpVersion10, HttpVersion11

from proxy.headers import LOWER, Field, encode, render
from proxy.upstream.body import UpstreamBody

if TYPE_CHECKING:
    from proxy.plugin.answer import Answer
    from proxy.plugin.exchange import Exchange
    from proxy.server.protocol import ClientConnection
    from proxy.server.request import Request

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive"})
_LAST_CHUNK = b"0\r\n\r\n"
_JOIN_BELOW = 4096


class Framing:
    """How one answer's body is delimited towards one client (RFC 9112, 6)."""

    __slots__ = ("chunked", "close", "has_body", "length")

    def __init__(self, request: Request, answer: Answer, length: int | None) -> None:
        status = answer.status
        self.has_body = request.method != "HEAD" and status not in _BODILESS
        self.length = length
        modern = request.version == HttpVersion11
        self.chunked = self.has_body and length is None and modern
        self.close = self.has_body and length is None and not modern


_BODILESS = frozenset({HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class ClientSink:
    """Puts an upstream's body on the client's connection as it arrives."""

    __slots__ = ("_chunked", "_connection", "_exchange", "_transport")

    def __init__(self, connection: ClientConnection, exchange: Exchange, *, chunked: bool) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._exchange = exchange
        self._chunked = chunked

    @property
    def paused(self) -> bool:
        return self._connection.behind

    def feed(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or not data:
            return
        size = len(data)
        self._exchange.sent += size
        if not self._chunked:
            transport.write(data)
        elif size < _JOIN_BELOW:
            transport.write(b"%x\r\n%b\r\n" % (size, data))
        else:
            transport.write(b"%x\r\n" % size)
            transport.write(data)
            transport.write(b"\r\n")


async def send(
    connection: ClientConnection, request: Request, exchange: Exchange, answer: Answer
) -> bool:
    """Send `answer` whole. Return whether the connection may serve another request.

    Raises GatewayError when the body breaks off: the head is out by then, so the caller breaks the
    connection and never sends a second head. Raises ConnectionError when the client has left.
    """
    payload = answer.payload()
    framing = Framing(request, answer, _length(answer, payload))
    keep = _may_keep(connection, request, answer, framing)
    head = _head(request, answer, framing, keep=keep)
    transport = connection.transport
    if transport is None:
        raise ConnectionResetError
    exchange.status = answer.status
    if type(payload) is bytes:
        body = payload if framing.has_body else b""
        transport.write(head + body if body else head)
        exchange.sent += len(body)
        exchange.head_sent = perf_counter() - exchange.started
        await connection.drained()
        return keep
    transport.write(head)
    exchange.head_sent = perf_counter() - exchange.started
    if not framing.has_body:
        answer.close()
    elif isinstance(payload, UpstreamBody):
        await _relay(connection, request, exchange, payload, framing)
    else:
        await _iterate(connection, exchange, payload, framing)
    return keep


def _length(answer: Answer, payload: Any) -> int | None:
    if type(payload) is bytes:
        return len(payload)
    if isinstance(payload, UpstreamBody):
        return payload.length
    return None


def _may_keep(
    connection: ClientConnection, request: Request, answer: Answer, framing: Framing
) -> bool:
    if connection.closing or framing.close or answer.keep_alive is False:
        return False
    # An answer that comes while the upload still runs ends the connection (semantics.md, row 19).
    return request.keep_alive and request.content.is_eof()


def _head(request: Request, answer: Answer, framing: Framing, *, keep: bool) -> bytes:
    version = b"1.1" if request.version != HttpVersion10 else b"1.0"
    lines = [b"HTTP/%b %d %b\r\n" % (version, answer.status, encode(answer.reason))]
    fields = answer.wire_fields()
    announced: bytes | None = None
    dated = False
    for field in fields:
        name = LOWER[field[0]]
        if name in _FRAMING:
            if name == b"content-length":
                announced = field[1]
            continue
        dated = dated or name == b"date"
        lines.append(b"%b: %b\r\n" % field)
    if not dated:
        lines.append(b"Date: %b\r\n" % http_date())
    lines.append(_framing_line(answer.status, framing, announced))
    if not keep:
        lines.append(b"Connection: close\r\n")
    elif request.version == HttpVersion10:
        lines.append(b"Connection: keep-alive\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _framing_line(status: int, framing: Framing, announced: bytes | None) -> bytes:
    if not framing.has_body:
        # A HEAD's or 304's Content-Length speaks of the body that a GET would have brought.
        keeps = announced is not None and status not in (HTTPStatus.NO_CONTENT, HTTPStatus.SWITCHING_PROTOCOLS)
        return b"Content-Length: %b\r\n" % announced if keeps and announced is not None else b""
    if framing.length is not None:
        return b"Content-Length: %d\r\n" % framing.length
    return b"Transfer-Encoding: chunked\r\n" if framing.chunked else b""


async def _relay(
    connection: ClientConnection,
    request: Request,
    exchange: Exchange,
    body: UpstreamBody,
    framing: Framing,
) -> None:
    sink = ClientSink(connection, exchange, chunked=framing.chunked)
    connection.flow(body, body.write_timeout)
    try:
        await body.relay(sink)
    finally:
        connection.flow(None, body.write_timeout)
    if framing.chunked and connection.transport is not None:
        connection.transport.write(_last_chunk(request, body.trailers))


async def _iterate(
    connection: ClientConnection, exchange: Exchange, body: AsyncIterator[bytes], framing: Framing
) -> None:
    sink = ClientSink(connection, exchange, chunked=framing.chunked)
    async for chunk in body:
        if connection.transport is None:
            raise ConnectionResetError
        sink.feed(chunk)
        await connection.drained()
    if framing.chunked and connection.transport is not None:
        connection.transport.write(_LAST_CHUNK)


def _last_chunk(request: Request, trailers: list[Field]) -> bytes:
    """Trailers travel on only to a client that said it would read them (RFC 9110, 6.5.1)."""
    if not trailers or "trailers" not in request.headers.get("TE", "").lower():
        return _LAST_CHUNK
    return b"0\r\n" + render(trailers) + b"\r\n"


def informational(connection: ClientConnection, request: Request, status: int, fields: list[Field]) -> None:
    """Relay a 1xx head; HTTP/1.0 knows none (RFC 9110, 15.2)."""
    if request.version == HttpVersion11 and connection.transport is not None:
        reason = HTTPStatus(status).phrase.encode() if status in _PHRASES else b""
        connection.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, render(fields)))


_PHRASES = frozenset(HTTPStatus)


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
    transport.write(switching % encode(answer.reason) + render(answer.wire_fields()) + b"\r\n")
    exchange.status = 101
    exchange.head_sent = perf_counter() - exchange.started
