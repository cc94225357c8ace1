"""Folding plugins into one callable, so that a handler always returns an Answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import CodeType, CoroutineType
from typing import Any, cast

from aiohttp import web

from proxy.config.models import Access
from proxy.errors import GatewayError, Unauthenticated, Unavailable
from proxy.plugin.answer import Answer
from proxy.plugin.base import Authenticator, Handler, Plugin
from proxy.plugin.context import OwnHandler
from proxy.plugin.exchange import EXCHANGE
from proxy.runtime.refusal import forget_frames, refusal


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
        if getattr(given, "cr_code", None) in _NEVER_RAISE:
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


_NEVER_RAISE: set[CodeType] = {_link.__code__, _at_once.__code__}


def never_raises(handler: Callable[[web.BaseRequest], Coroutine[Any, Any, Answer]]) -> Handler:
    """Mark a coroutine function as one that turns its errors into Answers itself."""
    _NEVER_RAISE.add(handler.__code__)
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


def authenticate_link(asked: Sequence[Held], access: Access, inner: Handler) -> Handler:
    """Return the one link that asks a route's authenticators in their listed order.

    The first principal wins. With none, a bad credential is told before an authenticator that is
    away, and that before nothing at all: who can't be asked may have known the caller.
    """
    ways = [(held, cast(Authenticator, held.plugin)) for held in asked]

    async def ask(request: web.BaseRequest) -> Answer:
        found: GatewayError | None = None
        for held, plugin in ways:
            try:
                if held.unavailable is not None:
                    found = found or held.unavailable.refusal()
                    continue
                principal = await plugin.authenticate(request)
            except Unauthenticated as bad:
                forget_frames(bad)
                found = found if isinstance(found, Unauthenticated) else bad
            except Unavailable as away:
                found = found or away.refusal()
            except Exception as failure:  # authenticators fail closed
                return refusal(request, failure, held.identity)
            else:
                if principal is not None:
                    request[EXCHANGE].principal = principal
                    return await inner(request)
        if found is None and access is Access.OPTIONAL:
            return await inner(request)
        return _unknown_caller(request, found, ways)

    return ask


def _unknown_caller(
    request: web.BaseRequest,
    found: GatewayError | None,
    ways: Sequence[tuple[Held, Authenticator]],
) -> Answer:
    """Return what the caller is told; a 401 says what would let it in (RFC 9110, 11.6.1)."""
    error = found or GatewayError("credentials_missing")
    if error.status == HTTPStatus.UNAUTHORIZED:
        try:
            challenges = [plugin.challenge() for _, plugin in ways]
        except Exception as failure:
            return refusal(request, failure, "authenticate")
        given = ", ".join(challenge for challenge in challenges if challenge)
        if given:
            error.headers["WWW-Authenticate"] = given
    return refusal(request, error, "authenticate")
