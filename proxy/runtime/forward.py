"""The innermost handler: sends the outgoing request to a target and makes an Answer of what comes.

1. take a slot of the upstream     4. send the body, as the client sends it
2. take a connection to a target   5. wait for the answer's head
3. write the head                  6. build an Answer, not sent yet
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from proxy.errors import GatewayError
from proxy.headers import Field, encode, render
from proxy.plugin.answer import Answer
from proxy.plugin.exchange import Attempt, Exchange
from proxy.runtime.fields import answer_fields
from proxy.runtime.refusal import refusal
from proxy.server.tunnel import UpgradeTunnel
from proxy.server.upload import ClientUpload
from proxy.upstream.body import Lease, UpstreamBody
from proxy.upstream.connection import Connection
from proxy.upstream.head import Head

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.runtime.route import Route
    from proxy.server.request import Request
    from proxy.upstream.target import Target

MOST_ATTEMPTS = 2
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_WITH_EMPTY_LENGTH = frozenset({"POST", "PUT", "PATCH"})

Body = bytes | AsyncIterable[bytes] | None


async def forward(incoming: web.BaseRequest) -> Answer:
    """Forward one exchange. Every failure becomes an Answer with the code of its step."""
    request = cast("Request", incoming)
    try:
        route: Route = request.route
        body = _body_to_send(request.exchange)
        upstream = route.upstream
        if not upstream.try_enter():
            await upstream.enter(route.timeouts.pool)
        lease = Lease(upstream)
        request.leases += (lease,)
        head = await _attempt(request, lease, upstream.choose(), body)
        while head is None:
            head = await _attempt(request, lease, upstream.choose((lease.target,)), body, last=True)
        return _answer(request, lease, head)
    except Exception as error:  # the rest of the chain sees an Answer
        return refusal(request, error, "forward")


async def _attempt(
    request: Request, lease: Lease, target: Target, body: Body, *, last: bool = False
) -> Head | None:
    """Try one target. Return None when a next try is safe. Raises GatewayError when none is."""
    exchange = request.exchange
    attempt = Attempt(target.label)
    exchange.attempts.append(attempt)
    lease.target = target
    try:
        return await _exchange(request, lease, target, attempt, body)
    except GatewayError as error:
        attempt.code = error.code
        attempt.end = perf_counter() - exchange.started
        lease.drop()
        reason = None if last else _why_again(error, exchange, attempt, body, lease)
        if reason is None:
            raise
        lease.upstream.retries[reason] += 1
        return None


def _why_again(
    error: GatewayError, exchange: Exchange, attempt: Attempt, body: Body, lease: Lease
) -> str | None:
    """Return why one more try is safe, None when it is not (semantics.md, row 25)."""
    if error.stage in ("resolve", "connect") and len(lease.upstream.targets) > 1:
        return "connect"
    stale = attempt.reused and error.code == "upstream_reset_before_headers"
    replayable = body is None or (
        isinstance(body, bytes) and exchange.outgoing.method in _IDEMPOTENT
    )
    if stale and replayable:
        return "stale-connection"
    return None


async def _exchange(
    request: Request, lease: Lease, target: Target, attempt: Attempt, body: Body
) -> Head:
    exchange = request.exchange
    route: Route = request.route
    # 2. a connection
    attempt.pool = perf_counter() - exchange.started
    connection = lease.upstream.reuse(target)
    if connection is None:
        connection = await lease.upstream.connect(target, route.timeouts, attempt, exchange.started)
    else:
        attempt.reused = True
    lease.connection = connection
    # 3. the head
    method = exchange.outgoing.method
    connection.begin(method, route.bounds, request.inform, upgrade=request.upgrade)
    head = _request_head(request, exchange, target, body)
    # 4. the body
    if body is None or isinstance(body, bytes):
        connection.write(head + body if body else head)
        connection.expire_in(route.timeouts.response, "upstream_response_timeout")
        attempt.sent = perf_counter() - exchange.started
    else:
        connection.write(head)
        await _send_body(request, connection, body, attempt)
    # 5. the answer's head
    answered = await connection.head()
    attempt.head = perf_counter() - exchange.started
    attempt.status = answered.status
    return answered


# -- 3. the head


def _request_head(request: Request, exchange: Exchange, target: Target, body: Body) -> bytes:
    outgoing = exchange.outgoing
    host = request.route.spec.host
    if host is None:
        host = target.authority
    elif host == "preserve":
        host = exchange.client.host or target.authority
    request.sent_host = host
    start = f"{outgoing.method} {outgoing.target} HTTP/1.1\r\nHost: {host}\r\n"
    lines = [encode(start), render(outgoing.wire_fields()), request.forwarded_lines]
    if body is not None:
        lines.append(_framing(outgoing.method, body, request))
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
    length = body.length if isinstance(body, ClientUpload) else None
    if length is None:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % length


# -- 4. the body


def _body_to_send(exchange: Exchange) -> Body:
    """Return the body, whole where all of it is here: it then goes out with the head in one write.

    Raises GatewayError `body_too_large` on an announced length over the limit, before the upstream
    is touched.
    """
    payload = cast("Any", exchange.outgoing.payload())
    if payload is None or not isinstance(payload, ClientUpload):
        return cast("Body", payload)
    payload.check_length()
    # What came chunked stays chunked.
    return payload.take() if payload.arrived and payload.length is not None else payload


async def _send_body(
    request: Request, connection: Connection, body: AsyncIterable[bytes], attempt: Attempt
) -> None:
    """Pump the body until it ends, or until the answer is there: an early answer stops the upload."""
    timeouts = request.route.timeouts
    chunked = not (isinstance(body, ClientUpload) and body.length is not None)
    pump = request.tasks.spawn(
        _pump(connection, aiter(body), timeouts.write, chunked=chunked), name="upload", quiet=True
    )
    try:
        await asyncio.wait((pump, connection.head_waiter()), return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
            attempt.sent = perf_counter() - request.exchange.started
            connection.expire_in(timeouts.response, "upstream_response_timeout")
            await connection.head()
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
        if chunked:
            connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        else:
            connection.write(chunk)
        if not connection.writable:
            connection.expire_in(write_timeout, "upstream_write_timeout")
            await connection.drain()
            connection.hold_timer()
    if chunked:
        connection.write(b"0\r\n\r\n")


# -- 6. the answer


def _answer(request: Request, lease: Lease, head: Head) -> Answer:
    connection = lease.connection
    assert connection is not None
    route: Route = request.route
    fields = answer_fields(head, request)
    fields.append(VIA)
    reason = head.reason.decode("utf-8", "surrogateescape")
    if not head.has_body:
        if head.status == 101:
            _switch(request, connection)
        return Answer.from_upstream(head.status, reason, fields, None)
    timeouts = route.timeouts
    if not connection.complete:
        if head.noted.get(b"content-type", b"").lower().startswith(b"text/event-stream"):
            connection.body_timeout(timeouts.stream, "stream_timeout")
        else:
            connection.body_timeout(timeouts.idle, "upstream_body_timeout")
    body = UpstreamBody(lease, connection, head.length, timeouts.write)
    return Answer.from_upstream(head.status, reason, fields, body, dated=b"date" in head.noted)


VIA: Field = (b"Via", b"1.1 brain")


def _switch(request: Request, connection: Connection) -> None:
    """Attach the tunnel before the chain unwinds: early bytes would be parsed as HTTP."""
    client = request.connection
    idle = request.route.timeouts.stream
    request.tunnel = UpgradeTunnel(client, connection, request.exchange, idle)
    client.switch(request.tunnel)
