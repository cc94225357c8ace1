"""What plugins registered on an exchange: for the answer that is about to be sent, and for its end."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from proxy.plugin.exchange import EXCHANGE
from proxy.runtime.refusal import refusal

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.answer import Answer
    from proxy.plugin.exchange import Exchange

log = logging.getLogger("brain.exchange")

Spawn = Callable[[Coroutine[Any, Any, Any], str], object]


def marked(request: web.BaseRequest, answer: Answer) -> Answer:
    """Return what is to be sent: `answer`, or the error of a callback that failed, marked as well.

    The last registered is called first, as a chain unwinds: what stands outside marks the error of
    what stands inside.
    """
    exchange = request[EXCHANGE]
    callbacks, exchange.markers = exchange.markers or [], None
    for callback in reversed(callbacks):
        try:
            callback(exchange, answer)
        except Exception as error:  # plugins fail closed
            answer = refusal(request, error, _owner(callback))
    return answer


def finished(exchange: Exchange, spawn: Spawn) -> None:
    """Call what asked to be called, the last registered first; one that fails stops no other.

    A coroutine that one returns is given to `spawn`, with a name for its task.
    """
    callbacks, exchange.callbacks = exchange.callbacks or [], None
    for callback in reversed(callbacks):
        try:
            result = callback(exchange)
            if result is not None and inspect.iscoroutine(result):
                spawn(result, f"on_finish of {_owner(callback)}")
        except Exception:
            log.exception("on_finish of %s failed", _owner(callback))


def _owner(callback: object) -> str:
    """Return the name of the plugin's class whose method `callback` is, else its own name."""
    callback = getattr(callback, "func", callback)  # a partial's
    instance = getattr(callback, "__self__", None)
    return getattr(callback, "__qualname__", "") if instance is None else type(instance).__name__
