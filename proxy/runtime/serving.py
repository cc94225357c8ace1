"""One request from its first byte to its last: enter a snapshot, run the chain, send, clean up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from proxy.errors import GatewayError
from proxy.runtime.begin import unrouted
from proxy.runtime.callbacks import finished, marked
from proxy.runtime.refusal import forget_frames
from proxy.server import relay

if TYPE_CHECKING:
    from proxy.plugin.answer import Answer
    from proxy.plugin.base import Handler
    from proxy.plugin.exchange import Exchange
    from proxy.runtime.snapshot import Snapshot
    from proxy.server.protocol import ClientConnection
    from proxy.server.request import Request

log = logging.getLogger("brain.exchange")


def refuse(
    snapshot: Snapshot, connection: ClientConnection, request: Request, error: GatewayError
) -> Coroutine[Any, Any, bool]:
    """Answer what parser or checks refused: numbered, logged and counted, without a route."""
    connection.closing = True
    unrouted(snapshot, connection, request, error, perf_counter())
    return run(snapshot, connection, request, snapshot.observing_chain)


async def run(
    snapshot: Snapshot, connection: ClientConnection, request: Request, chain: Handler
) -> bool:
    """Run the chain that `begin` chose. The result tells whether the connection may go on."""
    exchange = request.exchange
    snapshot.enter(connection, exchange)
    try:
        answer = await chain(request)
        if exchange.markers is not None:
            answer = marked(request, answer)
        exchange.answer = answer
        exchange.error = answer.error
        if request.tunnel is not None:
            await _open_tunnel(connection, request, answer)
            return False
        rest = relay.send(connection, request, answer)
        if rest is not None:
            await rest
    except GatewayError as error:
        _broken(exchange, error)
    except ConnectionError:
        _broken(exchange, GatewayError("client_left"))
    except asyncio.CancelledError:
        _broken(exchange, GatewayError(connection.parting))
        raise
    except Exception as error:  # a plugin's body iterator may fail in any way
        log.exception("an answer broke off on route '%s'", exchange.route.name)
        _broken(exchange, GatewayError("plugin_failed", log=type(error).__name__))
    else:
        return request.keep
    finally:
        _finish(snapshot, request)
        snapshot.leave(connection)
    # The head is out, or nobody is there: a second answer would be read as part of the first.
    connection.abort()
    return False


async def _open_tunnel(connection: ClientConnection, request: Request, answer: Answer) -> None:
    tunnel = request.tunnel
    assert tunnel is not None
    if answer.status != 101:
        # A plugin replaced the handshake's answer after both sides had switched.
        raise GatewayError("gateway_failed", log="a plugin replaced a 101")
    relay.send_switch(connection, request.exchange, answer)
    await tunnel.run()
    if connection.transport is not None:
        connection.transport.close()


def _broken(exchange: Exchange, error: GatewayError) -> None:
    forget_frames(error)
    exchange.error = error
    if exchange.head_sent is None:
        exchange.status = error.status
    if exchange.attempts and exchange.attempts[-1].code is None:
        exchange.attempts[-1].code, exchange.attempts[-1].note = error.code, error.log


def _finish(snapshot: Snapshot, request: Request) -> None:
    exchange = request.exchange
    ended = exchange.ended = perf_counter() - exchange.started
    if exchange.attempts and exchange.attempts[-1].end is None:
        exchange.attempts[-1].end = ended
    for lease in request.leases:
        lease.end()
    if exchange.callbacks is not None:
        finished(exchange, lambda coroutine, name: snapshot.tasks.spawn(coroutine, name=name))
    if snapshot.note is not None:
        snapshot.note(exchange)
    exchange.answer = None
    if request.uploads:
        exchange.outgoing.let_go()
