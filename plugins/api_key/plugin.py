"""The plugin that asks for a key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web

from plugins.api_key.keys import KeyRing, check_keys, keys_of
from plugins.api_key.options import SCHEMA
from proxy import (
    EXCHANGE,
    Authenticator,
    Exchange,
    Outgoing,
    PluginContext,
    Principal,
    Problems,
    Unauthenticated,
)


class ApiKey(Authenticator):
    """Makes a principal of a key in a header, or in the query where that is asked for.

    The header is a protected one: no upstream sees it, not even behind a public route where nobody
    looks at it. A route that forwards tokens gets back the one that was accepted.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA

    def __init__(
        self,
        *,
        keys: Sequence[Mapping[str, Any]],
        header: str,
        query: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.protects = frozenset({header.lower()})
        self._entries = keys
        self._header = header
        self._query = query
        self._now = now
        self._ring = KeyRing(())

    def check(self, problems: Problems) -> None:
        check_keys(self._entries, self._now(), problems)

    async def setup(self, context: PluginContext) -> None:
        self._ring = KeyRing(keys_of(self._entries, context.entry.identity))

    def challenge(self) -> str | None:
        return f'ApiKey realm="brain", header="{self._header}"'

    def explain(self, exchange: Exchange) -> list[str]:
        places = [f"the header {self._header}"]
        if self._query is not None:
            places.append(f"the query parameter {self._query}")
        keys = "one key" if len(self._entries) == 1 else f"one of {len(self._entries)} keys"
        sent = "sent on" if exchange.route.forward_token else "kept from the upstream"
        return [f"looks for {keys} in {' or '.join(places)}", f"a key that is accepted is {sent}"]

    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        in_header = request.headers.getall(self._header, [])
        in_query = [] if self._query is None else request.query.getall(self._query, [])
        presented = [*in_header, *in_query]
        if not presented:
            return None
        if len(presented) > 1:
            raise Unauthenticated(log="more than one API key")
        principal = self._judge(presented[0])
        exchange = request[EXCHANGE]
        if exchange.route.forward_token:
            self._restore(exchange.outgoing, in_header)
        else:
            self._withhold(exchange.outgoing, in_query)
        return principal

    def _judge(self, presented: str) -> Principal:
        key = self._ring.find(presented)
        if key is None:
            raise Unauthenticated(log="unknown API key")
        if key.expires is not None and key.expires <= self._now():
            raise Unauthenticated(
                "credentials_expired", log=f"API key '{key.principal.subject}' has expired"
            )
        return key.principal

    def _restore(self, outgoing: Outgoing, in_header: Sequence[str]) -> None:
        """Bring back what the protection of the header has removed; the query was left alone."""
        if in_header and outgoing.header(self._header) is None:
            outgoing.add_header(self._header, in_header[0])

    def _withhold(self, outgoing: Outgoing, in_query: Sequence[str]) -> None:
        """Keep the accepted key from the upstream; its header is gone already, as protected."""
        if outgoing.header(self._header) is not None:
            outgoing.headers.popall(self._header)
        if in_query and self._query is not None:
            outgoing.set_query(self._query, None)
