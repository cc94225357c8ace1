"""A middleware that shows tests what the gateway knows of its exchanges."""

from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

from proxy.errors import Problem
from proxy.plugin.answer import Answer
from proxy.plugin.base import Handler
from proxy.plugin.exchange import EXCHANGE, Exchange
from proxy.server.request import Request

RUNNING: list[Request] = []
FINISHED: list[Exchange] = []


async def record(request: web.BaseRequest, handler: Handler) -> Answer:
    """Keep the request while it runs and its exchange when it is over."""
    kept = cast(Request, request)

    def finish(exchange: Exchange) -> None:
        RUNNING.remove(kept)
        FINISHED.append(exchange)

    RUNNING.append(kept)
    request[EXCHANGE].on_finish(finish)
    return await handler(request)


def held(request: Request) -> int:
    """Return the body bytes that the gateway holds for a running request, in either direction."""
    client = request.connection.transport
    total = 0 if client is None else client.get_write_buffer_size()
    total += sum(len(chunk) for chunk in getattr(request.content, "_buffer", ()))
    for lease in request.leases:
        connection = lease.connection
        if connection is not None:
            total += sum(map(len, connection._chunks))
            if connection.transport is not None:
                total += connection.transport.get_write_buffer_size()
    return total


async def read_whole(request: web.BaseRequest, handler: Handler) -> Answer:
    """Read the request's body before it is sent, as a plugin that signs it would."""
    await request[EXCHANGE].outgoing.read(64 << 20)
    return await handler(request)


async def answer_read_whole(request: web.BaseRequest, handler: Handler) -> Answer:
    """Read the answer's body before it is sent, as a plugin that checks it would."""
    answer = await handler(request)
    await answer.read(64 << 20)
    return answer


async def hesitate(request: web.BaseRequest, handler: Handler) -> Answer:
    """Hold the answer for a moment, as a plugin that asks somebody would."""
    answer = await handler(request)
    await asyncio.sleep(0.05)
    return answer


async def refuse(_request: web.BaseRequest, _handler: Handler) -> Answer:
    """Refuse without looking at the body."""
    raise Problem(402, "quota_exceeded", "The month's calls are used up.")


async def read_by_aiohttp(request: web.BaseRequest, handler: Handler) -> Answer:
    """Read the body in the way that is closed."""
    await request.read()
    return await handler(request)
