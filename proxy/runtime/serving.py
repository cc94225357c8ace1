"""One request from its first byte to its last: enters a snapshot, runs the chain, sends, cleans up."""

from __future__ import annotations

import asyncio
import inspect
import logging
from time import perf_counter
from typing import TYPE_CHECKING


from proxy.errors import GatewayError
from proxy.plugin.answer import Answer
from proxy.plugin.exchange import EXCHANGE, Exchange, now_since
from proxy.runtime.begin import begin, unrouted
from proxy.server import relay

if TYPE_CHECKING:
    from proxy.plugin.base import Handler
    from proxy.runtime.snapshot import Snapshot
    from proxy.server.protocol import ClientConnection
    from proxy.server.request import Request

log = logging.getLogger("brain.exchange")


async def serve(snapshot: Snapshot, connection: ClientConnection, request: Request) -> bool:
    """Serve one request on `snapshot`. Return whether the connection may go on."""
    snapshot.enter(connection)
    try:
        chain = begin(snapshot, connection, request)
        return await _run(snapshot, connection, request, chain)
    finally:
        snapshot.leave(connection)


async def refuse(
    snapshot: Snapshot, connection: ClientConnection, request: Request, error: GatewayError
) -> bool:
    """Answer what the parser or the checks refused: numbered, logged and counted, without a route."""
    snapshot.enter(connection)
    try:
        unrouted(snapshot, connection, request, error, perf_counter())
        await _run(snapshot, connection, request, snapshot.observing_chain, close=True)
    finally:
        snapshot.leave(connection)
    return False


async def _run(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    chain: Handler,
    *,
    close: bool = False,
) -> bool:
    exchange = request[EXCHANGE]
    try:
        answer = await chain(request)
        if close:
            answer.force_close()
        exchange.answer = answer
        exchange.error = answer.error
        return await _send(connection, request, exchange, answer)
    except asyncio.CancelledError:
        code = "cut_at_shutdown" if connection.cut else "client_left"
        _broken(exchange, GatewayError(code))
        raise
    finally:
        _finish(snapshot, exchange, request)


async def _send(
    connection: ClientConnection, request: Request, exchange: Exchange, answer: Answer
) -> bool:
    passage = request.passage
    tunnel = None if passage is None else passage.tunnel
    try:
        if tunnel is not None:
            await _open_tunnel(connection, request, exchange, answer)
            return False
        return await relay.send(connection, request, exchange, answer)
    except GatewayError as error:
        _broken(exchange, error)
    except ConnectionError:
        _broken(exchange, GatewayError("client_left"))
    except Exception as error:  # a plugin's body iterator may fail in any way
        log.exception("an answer broke off on route '%s'", exchange.route.name)
        _broken(exchange, GatewayError("plugin_failed", log=type(error).__name__))
    # The head is out, or nobody is there: a second answer would be read as part of the first.
    connection.abort()
    return False


async def _open_tunnel(
    connection: ClientConnection, request: Request, exchange: Exchange, answer: Answer
) -> None:
    tunnel = request.passage.tunnel
    if answer.status != 101:  # noqa: PLR2004  Switching Protocols
        # A plugin replaced the handshake's answer after both sides had switched.
        raise GatewayError("gateway_failed", log="a plugin replaced a 101")
    relay.send_switch(connection, exchange, answer)
    await tunnel.run()
    if connection.transport is not None:
        connection.transport.close()


def _broken(exchange: Exchange, error: GatewayError) -> None:
    exchange.error = error
    if exchange.head_sent is None:
        exchange.status = error.status
    if exchange.attempts and exchange.attempts[-1].code is None:
        exchange.attempts[-1].code = error.code


def _finish(snapshot: Snapshot, exchange: Exchange, request: Request) -> None:
    exchange.ended = now_since(exchange.started)
    if exchange.attempts and exchange.attempts[-1].end is None:
        exchange.attempts[-1].end = exchange.ended
    if request.passage is not None:
        request.passage.end()
    callbacks = exchange.callbacks
    if callbacks is not None:
        for callback in reversed(callbacks):
            try:
                result = callback(exchange)
                if inspect.iscoroutine(result):
                    snapshot.tasks.spawn(result, name=f"on_finish {_name(callback)}")
            except Exception:
                log.exception("on_finish of %s failed", _name(callback))
    exchange.answer = None
    exchange.callbacks = None


def _name(callback: object) -> str:
    owner = getattr(callback, "__self__", None)
    return getattr(callback, "__qualname__", "") if owner is None else type(owner).__name__


