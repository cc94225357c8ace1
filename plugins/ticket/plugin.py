"""The plugin that gives tickets out and takes them back."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar
from uuid import uuid4

from aiohttp import web

from plugins.ticket.options import LONGEST_LIFE, SCHEMA
from plugins.ticket.sealing import Content
from plugins.ticket.seals import Seals
from proxy import (
    EXCHANGE,
    Answer,
    Authenticator,
    Exchange,
    GatewayError,
    PluginContext,
    Principal,
    Problems,
    SecretRef,
    Unauthenticated,
)

MAX_QUESTION = 8 * 1024
"""Bytes of what asks for a ticket: a path."""


class Ticket(Authenticator):
    """Takes each of its tickets once, by GET, on the path that it was given out for.

    A ticket is given to whom the other authenticators of that path's route let in: it is no more than
    they would have had with their own credential.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    follows = True

    def __init__(
        self,
        *,
        lifetime: float,
        query: str,
        key: SecretRef | None = None,
        store: Mapping[str, Any] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.protects_query = frozenset({query})
        self.one_process = None if store else "the list of used tickets"
        self._lifetime = lifetime
        self._query = query
        self._key = key
        self._store = store
        self._now = now

    def check(self, problems: Problems) -> None:
        if self._lifetime > LONGEST_LIFE:
            problems.add(
                "lifetime",
                "a ticket stands in addresses, and may live 5m at most",
                hint="it opens a stream, which may then last longer",
            )

    async def setup(self, context: PluginContext) -> None:
        self._context = context
        # First, so that the page says what is away where the key is.
        context.serve("POST", "ticket", self._give)
        self._seals = await Seals.of(self._key, context, self._lifetime, self._now)
        self._used = await context.once(self._store)

    def explain(self, exchange: Exchange) -> list[str]:
        return [
            f"looks for a ticket in the query parameter {self._query}, by GET",
            f"it lets in once, within {self._lifetime:g} s, on the path that it was given out for",
        ]

    # -- giving

    async def _give(self, request: web.BaseRequest) -> Answer:
        path = _path(await request[EXCHANGE].outgoing.read(MAX_QUESTION))
        principal = await self._context.caller(request, path, self)
        asked = request[EXCHANGE].asked_for
        assert asked is not None
        expires = self._now() + self._lifetime
        content = Content(principal, path, asked[0].asks, expires, uuid4().hex)
        try:
            ticket = await self._seals.seal(content)
        except (TypeError, ValueError) as error:
            raise GatewayError("ticket_too_large", log=str(error)) from None
        body = json.dumps({"ticket": ticket, "expires_in": int(self._lifetime)}).encode()
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return Answer(status=200, headers=headers, body=body)

    # -- taking

    def authenticate(
        self, request: web.BaseRequest
    ) -> Principal | Awaitable[Principal | None] | None:
        # Most requests have no query, and parsing one takes longer than to see that.
        if "?" not in request.raw_path:
            return None
        given = request.query.getall(self._query, [])
        return self._take(request, given) if given else None

    async def _take(self, request: web.BaseRequest, given: list[str]) -> Principal:
        if len(given) > 1:
            raise Unauthenticated("ticket_invalid", log="more than one ticket")
        content = await self._seals.open(given[0])
        if content is None:
            raise Unauthenticated("ticket_invalid", log="not sealed by this gateway")
        if request.method != "GET":
            raise Unauthenticated("ticket_invalid", log="a ticket is good for GET alone")
        if request.raw_path.partition("?")[0] != content.path:
            raise Unauthenticated("ticket_invalid", log="it was given out for another path")
        # One path may have several routes, by host or header: each asks authenticators of its own.
        if request[EXCHANGE].route.asks != content.asks:
            raise Unauthenticated("ticket_invalid", log="others are asked here for the caller")
        left = content.expires - self._now()
        if left <= 0:
            raise Unauthenticated("ticket_expired")
        if not await self._used.first(content.number, left):
            raise Unauthenticated("ticket_used", log="a ticket was used twice")
        return content.principal


def _path(body: bytes) -> str:
    """Return the path that is asked for. Raises GatewayError where the question is none."""
    try:
        given = json.loads(body)["path"]
    except (ValueError, KeyError, TypeError, RecursionError):
        given = None
    if not isinstance(given, str) or not given.startswith("/") or set("?#") & set(given):
        raise GatewayError("ticket_question_invalid")
    if not given.isascii() and any("\ud800" <= letter <= "\udfff" for letter in given):
        raise GatewayError("ticket_question_invalid")  # half a letter, which no path has
    return given
