"""Folding plugins into one callable, so that a handler always returns an Answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from proxy.config.models import Access
from proxy.errors import GatewayError, Unauthenticated
from proxy.plugin.answer import Answer
from proxy.plugin.base import Authenticator, Handler, Plugin
from proxy.plugin.exchange import EXCHANGE
from proxy.runtime.refusal import refusal


@dataclass(slots=True, eq=False)
class Held:
    """A plugin's instance in a snapshot. `unavailable` is set while its dependency is away."""

    identity: str
    plugin: Plugin
    unavailable: GatewayError | None = None


def guarded(identity: str, handler: Handler) -> Handler:
    """Return `handler` so that it turns every error but cancellation into an Answer."""

    async def call(request: web.BaseRequest) -> Answer:
        try:
            return await handler(request)
        except Exception as error:  # whatever fails, the rest of the chain sees an Answer
            return refusal(request, error, identity)

    return call


def link(held: Held, inner: Handler) -> Handler:
    """Return the plugin around `inner`."""
    plugin, identity = held.plugin, held.identity

    async def call(request: web.BaseRequest) -> Answer:
        try:
            if held.unavailable is not None:
                raise held.unavailable
            answer = await plugin(request, inner)
            if type(answer) is not Answer:
                answer = Answer.of(answer)
        except Exception as error:  # plugins fail closed
            return refusal(request, error, identity)
        if answer.origin == "plugin":
            answer.origin = identity
        return answer

    return call


def authenticate_link(asked: Sequence[Held], access: Access, inner: Handler) -> Handler:
    """Return the one link that asks a route's authenticators in their listed order."""

    async def ask(request: web.BaseRequest) -> Answer:
        worst: GatewayError | None = None
        for held in asked:
            if held.unavailable is not None:
                raise held.unavailable
            assert isinstance(held.plugin, Authenticator)
            try:
                principal = await held.plugin.authenticate(request)
            except Unauthenticated as error:
                worst = worst or error
                continue
            if principal is not None:
                request[EXCHANGE].principal = principal
                return await inner(request)
        if worst is None and access is Access.OPTIONAL:
            return await inner(request)
        raise _challenged(worst or GatewayError("credentials_missing"), asked)

    return guarded("authenticate", ask)


def _challenged(error: GatewayError, asked: Sequence[Held]) -> GatewayError:
    challenges = [
        held.plugin.challenge() for held in asked if isinstance(held.plugin, Authenticator)
    ]
    given = ", ".join(challenge for challenge in challenges if challenge)
    if given:
        error.headers["WWW-Authenticate"] = given
    return error
