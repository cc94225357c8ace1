"""The innermost handler: sends the outgoing request to a target and makes an Answer of what comes.

1. take a slot of the upstream     4. send the body, as the client sends it
2. take a connection to a target   5. wait for the answer's head
3. write the head                  6. build an Answer, not sent yet
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from proxy.config.models import Retry
from proxy.errors import GatewayError
from proxy.headers import VIA, Field, encode, first, render
from proxy.plugin.answer import Answer
from proxy.plugin.exchange import Attempt, Exchange
from proxy.runtime.fields import answer_fields
from proxy.runtime.moving import moved_target
from proxy.runtime.refusal import refusal
from proxy.runtime.replay import Replay
from proxy.runtime.retrying import again, again_after, keeps_body
from proxy.runtime.shape import sent_its_way
from proxy.runtime.withheld import SUBPROTOCOL
from proxy.server.tunnel import UpgradeTunnel
from proxy.server.upload import ClientUpload
from proxy.upstream.body import Lease, UpstreamBody
from proxy.upstream.connection import Connection
from proxy.upstream.head import Head
from proxy.upstream.holding import HIGH_WATER

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.runtime.route import Route
    from proxy.server.request import Request
    from proxy.upstream.target import Target

_PROTOCOL = "Sec-WebSocket-Protocol"
_WITH_EMPTY_LENGTH = frozenset({"POST", "PUT", "PATCH"})

Body = bytes | AsyncIterable[bytes] | None


async def forward(incoming: web.BaseRequest) -> Answer:
    """Forward one exchange. Every failure becomes an Answer with the code of its step."""
    request: Request = incoming  # type: ignore[assignment]  # cast() is a call
    if request.refused is not None:
        return refusal(request, request.refused, "forward")
    try:
        route: Route = request.route
        exchange = request.exchange
        body = body_to_send(exchange, route.retry)
        if route.shaped or exchange.outgoing.origin is not None:
            route, body = await sent_its_way(request, body)
        upstream = route.upstream
        for earlier in request.leases:
            earlier.end()  # a plugin tries again: the answer that it had is discarded
        queued = None
        if not upstream.try_enter():
            queued = perf_counter() - exchange.started
            await upstream.enter(route.timeouts.pool)
        lease = Lease(upstream)
        request.leases += (lease,)
        target = upstream.group.only or upstream.group.choose(request)
        patience = route.patience
        while True:
            attempt = Attempt(target.label)
            if queued is not None:
                attempt.queued, queued = queued, None
            exchange.attempts.append(attempt)
            lease.take(target)
            try:
                sending = _start(request, lease, attempt, body, patience)
                if sending is not None:
                    await sending
                assert lease.connection is not None
                head = await lease.connection.head_waiter()
            except GatewayError as error:
                target, patience = await again(request, lease, attempt, body, error)
                continue
            if head.status in route.retry.statuses:
                another = await again_after(request, lease, attempt, body, head)
                if another is not None:
                    target, patience = another
                    continue
            break
        attempt.head = perf_counter() - exchange.started
        attempt.status = lease.status = head.status
        answer = _answer(request, lease, head)
        return answer if request.copy is None else request.copy.answered(request, answer)
    except Exception as error:
        return refusal(request, error, "forward")


def _start(
    request: Request, lease: Lease, attempt: Attempt, body: Body, patience: float
) -> Coroutine[Any, Any, None] | None:
    """Take a connection and send: at once where one is idle, else return what does.

    A try behind another trusts no idle connection: after a restart all are stale.
    """
    attempt.pool = perf_counter() - request.exchange.started
    target = lease.target
    assert target is not None
    connection = None if lease.tried else lease.upstream.reuse(target)
    if connection is None:
        return _open(request, lease, target, attempt, body, patience)
    attempt.reused = True
    lease.connection = connection
    return _send(request, connection, target, attempt, body, patience)


async def _open(
    request: Request, lease: Lease, target: Target, attempt: Attempt, body: Body, patience: float
) -> None:
    started = request.exchange.started
    connection = await lease.connect(request.route.timeouts, attempt, started)
    sending = _send(request, connection, target, attempt, body, patience)
    if sending is not None:
        await sending


# -- 3. the head


def _send(
    request: Request,
    connection: Connection,
    target: Target,
    attempt: Attempt,
    body: Body,
    patience: float,
) -> Coroutine[Any, Any, None] | None:
    """Send head and body at once where the body is here, else return what sends the body."""
    exchange = request.exchange
    route: Route = request.route
    method = exchange.outgoing.method
    connection.begin(method, route.bounds, request.inform, upgrade=request.upgrade)
    head = request_head(request, exchange, target, body)
    if body is not None and (not isinstance(body, bytes) or len(body) > HIGH_WATER):
        connection.write(head)
        return _send_body(request, connection, body, attempt, patience)
    connection.write(head + body if body else head)
    connection.expire_in(patience, "upstream_response_timeout")
    attempt.sent = perf_counter() - exchange.started
    return None


def request_head(request: Request, exchange: Exchange, target: Target, body: Body) -> bytes:
    outgoing = exchange.outgoing
    method = outgoing.method
    route: Route = request.route
    host = route.host
    if host is None:
        host = target.authority
    elif host == "preserve":
        host = exchange.client.host or target.authority
    request.sent_host = host
    aim = moved_target(request) if route.moves else outgoing.target
    start = f"{method} {aim} HTTP/1.1\r\nHost: {host}\r\n"
    lines = [encode(start), render(outgoing.wire_fields()), request.forwarded_lines]
    if body is not None:
        lines.append(_framing(method, body, request))
    elif method in _WITH_EMPTY_LENGTH:
        lines.append(b"Content-Length: 0\r\n")  # some answer 411 without it (RFC 9110, 8.6)
    if request.upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    elif request.wants_trailers:
        lines.append(b"Connection: TE\r\nTE: trailers\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _framing(method: str, body: Body, request: Request) -> bytes:
    if isinstance(body, bytes):
        if body or method in _WITH_EMPTY_LENGTH or "Content-Length" in request.headers:
            return b"Content-Length: %d\r\n" % len(body)
        return b""
    length = _length(body)
    if length is None:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % length


def _length(body: Body) -> int | None:
    if isinstance(body, bytes):
        return len(body)
    return body.length if isinstance(body, (ClientUpload, Replay)) else None


# -- 4. the body


def body_to_send(exchange: Exchange, retry: Retry) -> Body:
    """Return the body, whole where all of it is here: it then goes out with the head in one write.

    Of what is still on its way the beginning is kept where it may be sent again.

    Raises GatewayError `body_too_large` on an announced length over the limit, before the upstream
    is touched.
    """
    payload: Any = exchange.outgoing.payload()
    if payload is None or not isinstance(payload, ClientUpload):
        return payload
    payload.check_length()
    # What came chunked stays chunked.
    if payload.arrived and payload.length is not None:
        return exchange.outgoing.hold(payload.take())
    return Replay(payload, retry.buffer) if keeps_body(exchange, retry) else payload


async def _send_body(
    request: Request,
    connection: Connection,
    body: bytes | AsyncIterable[bytes],
    attempt: Attempt,
    patience: float,
) -> None:
    """Pump the body until it ends or the answer is there: an early answer stops the upload."""
    timeouts = request.route.timeouts
    chunked = _length(body) is None
    chunks = _pieces(body) if isinstance(body, bytes) else aiter(body)
    pump = request.tasks.spawn(
        _pump(connection, chunks, timeouts.write, chunked=chunked), name="upload", quiet=True
    )
    head = connection.head_waiter()
    try:
        await asyncio.wait((pump, head), return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
            attempt.sent = perf_counter() - request.exchange.started
            if not head.done():
                connection.expire_in(patience, "upstream_response_timeout")
    finally:
        if not pump.done():
            connection.keep = False
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)


async def _pump(
    connection: Connection, body: AsyncIterator[bytes], write_timeout: float, *, chunked: bool
) -> None:
    async for chunk in body:
        if not chunk:
            continue
        connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        if not connection.writable:
            await connection.drain(write_timeout)
    if chunked:
        connection.write(b"0\r\n\r\n")


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), HIGH_WATER):
        yield body[start : start + HIGH_WATER]


# -- 6. the answer


def _answer(request: Request, lease: Lease, head: Head) -> Answer:
    connection = lease.connection
    assert connection is not None
    route: Route = request.route
    fields = answer_fields(head, request)
    fields.append(VIA)
    if lease.upstream.spec.balance.sticky is not None:
        _keep_target(request, lease, fields)
    reason = head.reason.decode("utf-8", "surrogateescape")
    if not head.has_body:
        if head.status == 101:
            _switch(request, lease, connection)
            if request.token_offered and first(fields, _PROTOCOL) is None:
                # A browser that offered subprotocols fails a handshake that selects none.
                fields.append((encode(_PROTOCOL), SUBPROTOCOL))
        return Answer.from_upstream(head.status, reason, fields, b"")
    timeouts = route.timeouts
    dated = b"date" in head.noted
    whole = None if head.length is None else connection.take_whole()
    if whole is not None:
        return Answer.from_upstream(head.status, reason, fields, whole, dated=dated, framed=True)
    if not connection.complete:
        lease.begun()
        if head.noted.get(b"content-type", b"").lower().startswith(b"text/event-stream"):
            connection.body_timeout(timeouts.stream, "stream_timeout")
        else:
            connection.body_timeout(timeouts.idle, "upstream_body_timeout")
    body = UpstreamBody(lease, connection, head.length, timeouts.write)
    framed = head.length is not None
    return Answer.from_upstream(head.status, reason, fields, body, dated=dated, framed=framed)


def _keep_target(request: Request, lease: Lease, fields: list[Field]) -> None:
    assert lease.target is not None
    cookie = lease.upstream.group.cookie_for(lease.target, request)
    if cookie is not None:
        fields.append((b"Set-Cookie", encode(cookie)))


def _switch(request: Request, lease: Lease, connection: Connection) -> None:
    """Attach the tunnel before the chain unwinds: early bytes would be parsed as HTTP."""
    lease.begun()
    client = request.connection
    timeouts = request.route.timeouts
    request.tunnel = UpgradeTunnel(
        client, connection, request.exchange, timeouts.stream, timeouts.write
    )
    client.switch(request.tunnel)
