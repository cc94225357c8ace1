"""Which plugin a request waits in: told in the log, since only the client would notice otherwise."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from proxy.runtime.chain import link_identity
from proxy.runtime.forward import forward
from proxy.runtime.serving import run
from proxy.runtime.slices import in_slices

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange
    from proxy.runtime.gateway import Gateway

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
        held: set[Exchange] = set()
        async for connection in in_slices(gateway.serving()):
            found = _held(connection.serving_task)
            if found is None:
                continue
            exchange, identity = found
            held.add(exchange)
            if exchange not in told:
                log.warning(
                    "plugin '%s' has held a request on route '%s' for %d s",
                    identity,
                    exchange.route.name,
                    perf_counter() - exchange.started,
                    extra={"request_id": exchange.request_id or None},
                )
        told = held


def _held(task: asyncio.Task[Any] | None) -> tuple[Exchange, str] | None:
    """Return the exchange that a task serves and the plugin that holds it for long, if one does."""
    step: Any = None if task is None else task.get_coro()
    while isinstance(step, CoroutineType) and step.cr_frame is not None:
        if step.cr_code is run.__code__:
            exchange: Exchange = step.cr_frame.f_locals["request"].exchange
            young = perf_counter() - exchange.started < HELD_AFTER
            identity = "" if young else _innermost(step.cr_await)
            return (exchange, identity) if identity else None
        step = step.cr_await
    return None


def _innermost(step: Any) -> str:
    """Return the plugin in which a chain waits, "" for none.

    What waits for an upstream is no plugin's doing: that has timers of its own.
    """
    identity = ""
    while isinstance(step, CoroutineType) and step.cr_frame is not None:
        at_upstream = step.cr_code is forward.__code__
        identity = "" if at_upstream else link_identity(step) or identity
        step = step.cr_await
    return identity
