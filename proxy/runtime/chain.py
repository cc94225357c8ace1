"""Folding plugins into one callable, so that a handler always returns an Answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import CodeType, CoroutineType
from typing import Any

from aiohttp import web

from proxy.errors import Unavailable
from proxy.plugin.answer import Answer
from proxy.plugin.base import Handler, Plugin
from proxy.plugin.context import OwnHandler
from proxy.runtime.refusal import refusal


@dataclass(slots=True, eq=False)
class Held:
    """A plugin's instance in a snapshot. `unavailable` is set while its dependency is away."""

    identity: str
    plugin: Plugin
    unavailable: Unavailable | None = None


def guarded(identity: str, handler: Handler) -> Handler:
    """Return `handler` so that it turns every error but cancellation into an Answer."""

    async def call(request: web.BaseRequest) -> Answer:
        try:
            return await handler(request)
        except Exception as error:  # whatever fails, the rest of the chain sees an Answer
            return refusal(request, error, identity)

    return never_raises(call)


def link(held: Held, inner: Handler) -> Handler:
    """Return the plugin around `inner`."""
    plugin, identity = held.plugin, held.identity

    def call(request: web.BaseRequest) -> Awaitable[Answer]:
        if held.unavailable is not None:
            return _at_once(refusal(request, held.unavailable, identity))
        try:
            given = plugin(request, inner)
        except Exception as error:  # plugins fail closed
            return _at_once(refusal(request, error, identity))
        # A plain function that returned the rest of the chain as it is: that never raises.
        if id(getattr(given, "cr_code", None)) in _NEVER_RAISE:
            return given
        return _link(request, given, identity)

    return call


async def _link(request: web.BaseRequest, given: Awaitable[Answer], identity: str) -> Answer:
    try:
        answer = await given
        if type(answer) is not Answer:
            answer = Answer.of(answer)
    except Exception as error:  # plugins fail closed
        return refusal(request, error, identity)
    if answer.origin == "plugin":
        answer.origin = identity
    return answer


def link_identity(step: CoroutineType[Any, Any, Any]) -> str | None:
    """Return whose link a suspended coroutine is, None where it is none."""
    if step.cr_code is not _link.__code__ or step.cr_frame is None:
        return None
    identity: str = step.cr_frame.f_locals["identity"]
    return identity


async def _at_once(answer: Answer) -> Answer:
    return answer


_NEVER_RAISE: dict[int, CodeType] = {
    id(function.__code__): function.__code__ for function in (_link, _at_once)
}
"""By id: a code object is hashed anew each time, by all that it holds, and each link asks."""


def never_raises(handler: Callable[..., Coroutine[Any, Any, Answer]]) -> Handler:
    """Mark a coroutine function as one that turns its errors into Answers itself."""
    _NEVER_RAISE[id(handler.__code__)] = handler.__code__
    return handler


def page(identity: str, handler: OwnHandler) -> Handler:
    """Return a plugin's own page as the innermost handler of a chain."""

    async def call(request: web.BaseRequest) -> Answer:
        try:
            answer = Answer.of(await handler(request))
        except Exception as error:  # pages fail closed, as chains do
            return refusal(request, error, identity)
        if answer.origin == "plugin":
            answer.origin = identity
        return answer

    return call
