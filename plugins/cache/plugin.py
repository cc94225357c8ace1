"""The plugin that keeps answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from aiohttp import web

from plugins.cache import answers
from plugins.cache.asked import PASSING, Asked, read
from plugins.cache.fetch import Fetch
from plugins.cache.fields import by_name, text
from plugins.cache.options import SCHEMA
from plugins.cache.parts import Parts
from plugins.cache.scopes import (
    ANONYMOUS,
    PRINCIPAL,
    STRANGER,
    UNCLEAR,
    Scope,
    scope_of,
    sends_credentials,
)
from proxy import EXCHANGE, Answer, Exchange, Handler, Plugin, PluginContext, Problems

if TYPE_CHECKING:
    from plugins.cache.collector import Stores
    from plugins.cache.rules import Rules

_READ = frozenset({"GET", "HEAD"})
_SAFE = frozenset({"OPTIONS", "TRACE"})

_WHOSE = {
    PRINCIPAL: "this caller with these roles, scopes and claims",
    ANONYMOUS[0]: "callers without credentials",
    STRANGER[0]: "nobody, since no authenticator proved its credentials",
    UNCLEAR[0]: "nobody, since claims that are no JSON can't be compared",
}


class Cache(Plugin):
    """Serves answers again that the upstream lets a shared cache keep (RFC 9111).

    It stands behind authentication and authorisation, in the stage `transform`: a hit bypasses
    neither. A fresh answer that fits is served without a look at hishel's state machine, which
    decides on everything else; tests hold the two together.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    per_worker = "stored answers"

    def __init__(
        self,
        *,
        max_size: int,
        max_entry: int,
        default_ttl: float,
        stale_if_error: float,
        wait: float,
        credentials: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._max_size = max_size
        self._max_entry = max_entry
        self._default_ttl = int(default_ttl)
        self._stale_if_error = int(stale_if_error)
        self._wait = wait
        self._credentials = (
            b"authorization",
            b"cookie",
            *(name.lower().encode() for name in credentials),
        )
        self._clock = clock
        self._now = now
        self._places: dict[object, tuple[str, str]] = {}
        self._identity = ""
        self._stores: Stores | None = None
        self._parts: Parts

    def check(self, problems: Problems) -> None:
        if self._max_entry > self._max_size:
            problems.add("max_entry", "an answer of this size would never fit into max_size")

    async def setup(self, context: PluginContext) -> None:
        rules, made = await asyncio.to_thread(_late)
        stores = context.share("stores", made)
        context.metrics.collector("brain_cache", stores)
        self._identity = context.entry.identity
        self._parts = Parts(
            stores.join(self._identity, self._max_size),
            rules(),
            self._max_entry,
            self._default_ttl,
            self._stale_if_error,
            self._wait,
            self._clock,
            self._now,
        )
        self._stores = stores

    async def close(self) -> None:
        self._places.clear()  # the chains of their routes hold this
        if self._stores is not None:
            self._stores.leave(self._identity, self._max_size)

    def explain(self, exchange: Exchange) -> list[str]:
        method = exchange.outgoing.method
        if method in _SAFE:
            return ["lets it pass: only answers to GET are stored"]
        if method not in _READ:
            return [f"drops what is stored for this address when the {method} succeeds"]
        fields = exchange.outgoing.wire_fields()
        values = by_name(fields)
        passing = sorted(text(name) for name in PASSING & values.keys())
        if passing:
            return [f"lets it pass: {', '.join(passing)} is for the upstream alone"]
        scope = scope_of(exchange.principal, fields, values, self._credentials)
        return [
            "answers from memory what the upstream lets a shared cache keep",
            f"keeps it for {_whose(scope)}, for everyone where the upstream says public",
        ]

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        method, place = exchange.outgoing.method, self._place(request, exchange)
        if method in _SAFE or not place[0]:
            return handler(request)
        if method in _READ:
            asked = read(request, exchange, place, self._credentials)
            return handler(request) if asked is None else self._answer(request, handler, asked)
        return self._change(request, handler)

    def _place(self, request: web.BaseRequest, exchange: Exchange) -> tuple[str, str]:
        """Return where a request is forwarded to, "" for the gateway's own pages, and its route."""
        route = exchange.route.towards(request)
        place = self._places.get(route)
        if place is None:
            place = self._places[route] = route.destination, route.name
        return place

    async def _answer(self, request: web.BaseRequest, handler: Handler, asked: Asked) -> Answer:
        parts = self._parts
        entry = parts.store.find(asked)
        if entry is not None:
            age, lifetime = parts.age(entry), parts.lifetime(entry)
            if parts.usable(asked, entry, age, lifetime):
                parts.store.counts["hit"] += 1
                return answers.hit(asked, entry, age, lifetime)
        return await Fetch(parts, request, handler, asked, entry)()

    async def _change(self, request: web.BaseRequest, handler: Handler) -> Answer:
        """Pass on what may change the resource; when it has, drop what is stored (RFC 9111, 4.4)."""
        exchange = request[EXCHANGE]
        target = exchange.outgoing.target
        answer = await handler(request)
        if 200 <= answer.status < 400:
            # All upstreams of a split may answer by what one of them has changed.
            for destination in exchange.route.destinations:
                self._parts.store.invalidate((destination, target))
        return answer


def _whose(scope: Scope) -> str:
    sent = " and the credentials that the upstream sees" if sends_credentials(scope) else ""
    return f"{_WHOSE[str(scope[0])]}{sent}"


def _late() -> tuple[type[Rules], type[Stores]]:
    """Import hishel and prometheus-client when a file asks for this plugin: it takes its time."""
    from plugins.cache.collector import Stores
    from plugins.cache.rules import Rules

    return Rules, Stores
