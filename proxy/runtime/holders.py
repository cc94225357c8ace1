"""Which plugin a request waits in: told in the log, since only the client would notice otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from time import perf_counter
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from proxy.runtime.chain import link_identity
from proxy.runtime.forward import forward
from proxy.runtime.serving import run

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange
    from proxy.runtime.gateway import Gateway
    from proxy.server.protocol import ClientConnection

log = logging.getLogger("brain.plugin")

LOOK_EVERY = 5.0
"""Seconds between two looks."""

HELD_AFTER = 30.0
"""Seconds in a plugin after which a request is told: clients give up by then."""


async def tell_holders(gateway: Gateway) -> None:
    """Tell each request that a plugin holds for long, once. Runs until cancelled.

    It is told and not cut: a plugin may wait for good reason, and the client's leaving ends it.
    """
    told: set[Exchange] = set()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        held = dict(_held(gateway.serving()))
        for exchange, identity in held.items():
            if exchange not in told:
                log.warning(
                    "plugin '%s' has held a request on route '%s' for %d s",
                    identity,
                    exchange.route.name,
                    perf_counter() - exchange.started,
                )
        told = set(held)


def _held(connections: Iterable[ClientConnection]) -> Iterator[tuple[Exchange, str]]:
    now = perf_counter()
    for connection in connections:
        exchange, identity = _innermost(connection.serving_task)
        if exchange is not None and identity and now - exchange.started > HELD_AFTER:
            yield exchange, identity


def _innermost(task: asyncio.Task[Any] | None) -> tuple[Exchange | None, str]:
    """Return the exchange that a task serves, and the plugin in which it waits, "" for none.

    What waits for an upstream is no plugin's doing: that has timers of its own.
    """
    exchange: Exchange | None = None
    identity = ""
    step: Any = None if task is None else task.get_coro()
    while isinstance(step, CoroutineType) and step.cr_frame is not None:
        if step.cr_code is run.__code__:
            exchange = step.cr_frame.f_locals["request"].exchange
        elif step.cr_code is forward.__code__:
            identity = ""
        else:
            identity = link_identity(step) or identity
        step = step.cr_await
    return exchange, identity
