"""The innermost handler: sends the outgoing request to a target and makes an Answer of what comes.

1. take a slot of the upstream     4. send the body, as the client sends it
2. take a connection to a target   5. wait for the answer's head
3. write the head                  6. build an Answer, not sent yet
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from proxy.errors import GatewayError
from proxy.headers import Field, encode, render
from proxy.plugin.answer import Answer
from proxy.plugin.exchange import EXCHANGE, Attempt, Exchange, now_since
from proxy.runtime.fields import answer_fields
from proxy.runtime.route import Route
from proxy.server import relay
from proxy.server.tunnel import UpgradeTunnel
from proxy.server.upload import ClientUpload
from proxy.upstream.body import Lease, UpstreamBody
from proxy.upstream.connection import Connection
from proxy.upstream.head import Head

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.runtime.passage import Passage
    from proxy.server.request import Request
    from proxy.upstream.target import Target

MOST_ATTEMPTS = 2
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_WITH_EMPTY_LENGTH = frozenset({"POST", "PUT", "PATCH"})

Body = bytes | AsyncIterable[bytes] | None


async def forward(incoming: web.BaseRequest) -> Answer:
    """Forward one exchange. Raises GatewayError with the code of the step that failed."""
    request = cast("Request", incoming)
    exchange = request[EXCHANGE]
    passage = request.passage
    route = passage.route
    lease = await _take_slot(route, passage)
    body = _body_to_send(exchange)
    head = await _attempts(request, exchange, passage, lease, body)
    return _answer(request, exchange, passage, lease, head)


# -- 1. a slot


async def _take_slot(route: Route, passage: Passage) -> Lease:
    upstream = route.upstream
    if not upstream.try_enter():
        await upstream.enter(route.timeouts.pool)
    lease = Lease(upstream)
    passage.leases.append(lease)
    return lease


# -- attempts: one, and another where nothing can have been done twice


async def _attempts(
    request: Request, exchange: Exchange, passage: Passage, lease: Lease, body: Body
) -> Head:
    tried: list[Target] = []
    while True:
        target = lease.upstream.choose(tried)
        tried.append(target)
        attempt = Attempt(target=target.label)
        exchange.attempts.append(attempt)
        try:
            return await _attempt(request, exchange, passage, lease, target, attempt, body)
        except GatewayError as error:
            attempt.code = error.code
            attempt.end = now_since(exchange.started)
            lease.drop()
            reason = _why_again(error, exchange, attempt, body, len(tried), lease)
            if reason is None:
                raise
            lease.upstream.retries[reason] += 1


def _why_again(
    error: GatewayError, exchange: Exchange, attempt: Attempt, body: Body, tries: int, lease: Lease
) -> str | None:
    """Return why one more try is safe, None when it is not (semantics.md, row 25)."""
    if tries >= MOST_ATTEMPTS:
        return None
    if error.stage in ("resolve", "connect") and len(lease.upstream.targets) > 1:
        return "connect"
    replayable = body is None or isinstance(body, bytes)
    stale = attempt.reused and error.code == "upstream_reset_before_headers"
    if stale and replayable and (body is None or exchange.outgoing.method in _IDEMPOTENT):
        return "stale-connection"
    return None


async def _attempt(
    request: Request,
    exchange: Exchange,
    passage: Passage,
    lease: Lease,
    target: Target,
    attempt: Attempt,
    body: Body,
) -> Head:
    route = passage.route
    # 2. a connection
    attempt.pool = now_since(exchange.started)
    connection = lease.upstream.reuse(target)
    if connection is None:
        connection = await lease.upstream.connect(target, route.timeouts, attempt, exchange.started)
    else:
        attempt.reused = True
    lease.target, lease.connection = target, connection
    # 3. the head
    head = _request_head(request, exchange, passage, target, body)
    inform = partial(relay.informational, request.connection, request)
    connection.begin(exchange.outgoing.method, route.bounds, inform, upgrade=passage.upgrade)
    # 4. the body
    if body is None or isinstance(body, bytes):
        connection.write(head + body if body else head)
        connection.expire_in(route.timeouts.response, "upstream_response_timeout")
        attempt.sent = now_since(exchange.started)
    else:
        connection.write(head)
        await _send_body(connection, body, passage, exchange, attempt)
    # 5. the answer's head
    answered = await connection.head()
    attempt.head = now_since(exchange.started)
    attempt.status = answered.status
    return answered


# -- 3. the head


def _request_head(
    request: Request, exchange: Exchange, passage: Passage, target: Target, body: Body
) -> bytes:
    outgoing = exchange.outgoing
    host = passage.route.spec.host
    if host is None:
        host = target.spec.authority
    elif host == "preserve":
        host = exchange.client.host or target.spec.authority
    passage.sent_host = host
    lines = [
        b"%b %b HTTP/1.1\r\nHost: %b\r\n"
        % (outgoing.method.encode(), encode(outgoing.target), encode(host)),
        render(outgoing.wire_fields()),
        passage.forwarded,
    ]
    if body is not None:
        lines.append(_framing(outgoing.method, body, request))
    if passage.upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    elif passage.wants_trailers:
        lines.append(b"Connection: TE\r\nTE: trailers\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _framing(method: str, body: Body, request: Request) -> bytes:
    if isinstance(body, bytes):
        if body or method in _WITH_EMPTY_LENGTH or "Content-Length" in request.headers:
            return b"Content-Length: %d\r\n" % len(body)
        return b""
    length = body.length if isinstance(body, ClientUpload) else None
    return b"Transfer-Encoding: chunked\r\n" if length is None else b"Content-Length: %d\r\n" % length


# -- 4. the body


def _body_to_send(exchange: Exchange) -> Body:
    payload = cast("Any", exchange.outgoing.payload())
    if isinstance(payload, ClientUpload) and payload.arrived:
        # Whole and small: sent with the head in one write. What came chunked stays chunked.
        return payload.take() if payload.length is not None else payload
    return cast("Body", payload)


async def _send_body(
    connection: Connection, body: AsyncIterable[bytes], passage: Passage, exchange: Exchange, attempt: Attempt
) -> None:
    """Pump the body until it ends, or until the answer is there: an early answer stops the upload."""
    chunked = not (isinstance(body, ClientUpload) and body.length is not None)
    pump = passage.tasks.spawn(
        _pump(connection, aiter(body), passage, chunked=chunked), name="upload", quiet=True
    )
    try:
        await asyncio.wait((pump, connection.head_waiter()), return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
            attempt.sent = now_since(exchange.started)
            connection.expire_in(passage.route.timeouts.response, "upstream_response_timeout")
            await connection.head()
    finally:
        if not pump.done():
            connection.keep = False
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)


async def _pump(
    connection: Connection, body: AsyncIterator[bytes], passage: Passage, *, chunked: bool
) -> None:
    async for chunk in body:
        if not chunk:
            continue
        if chunked:
            connection.write(b"%x\r\n" % len(chunk))
            connection.write(chunk)
            connection.write(b"\r\n")
        else:
            connection.write(chunk)
        if not connection.writable:
            connection.expire_in(passage.route.timeouts.write, "upstream_write_timeout")
            await connection.drain()
            connection.hold_timer()
    if chunked:
        connection.write(b"0\r\n\r\n")


# -- 6. the answer


def _answer(
    request: Request, exchange: Exchange, passage: Passage, lease: Lease, head: Head
) -> Answer:
    connection = lease.connection
    assert connection is not None
    route = passage.route
    fields, events = answer_fields(
        head.fields, route.spec, route.bases(passage.prefix, passage.sent_host.lower())
    )
    fields.append(VIA)
    reason = head.reason.decode("utf-8", "surrogateescape")
    if head.status == 101:
        return _tunnel(request, exchange, passage, connection, head, fields)
    if not head.has_body:
        return Answer.from_upstream(head.status, reason, fields, None)
    timeouts = route.timeouts
    if events:
        connection.body_timeout(timeouts.stream, "stream_timeout")
    else:
        connection.body_timeout(timeouts.idle, "upstream_body_timeout")
    body = UpstreamBody(lease, connection, head.length, timeouts.write)
    return Answer.from_upstream(head.status, reason, fields, body)


VIA: Field = (b"Via", b"1.1 brain")


def _tunnel(
    request: Request,
    exchange: Exchange,
    passage: Passage,
    connection: Connection,
    head: Head,
    fields: list[Field],
) -> Answer:
    # Attached before the chain unwinds: bytes that the client sends early would be parsed as HTTP.
    idle = passage.route.timeouts.stream
    passage.tunnel = UpgradeTunnel(request.connection, connection, exchange, idle)
    request.connection.switch(passage.tunnel)
    return Answer.from_upstream(101, head.reason.decode("latin-1"), fields, None)


