"""The last look at an answer: what plugins registered by `exchange.on_answer`."""

from __future__ import annotations

from aiohttp import web

from proxy.plugin.answer import Answer
from proxy.plugin.exchange import EXCHANGE
from proxy.runtime.refusal import refusal


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
            answer = refusal(request, error, owner(callback))
    return answer


def owner(callback: object) -> str:
    """Return the name of the plugin's class whose method `callback` is, else its own name."""
    callback = getattr(callback, "func", callback)  # a partial's
    instance = getattr(callback, "__self__", None)
    return getattr(callback, "__qualname__", "") if instance is None else type(instance).__name__
