"""The plugin that asks for a key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web

from plugins.api_key.checks import check_keys
from plugins.api_key.holders import Holders
from plugins.api_key.keys import references_in
from plugins.api_key.options import SCHEMA
from plugins.api_key.watched import KeysFile
from proxy import (
    EXCHANGE,
    Authenticator,
    Exchange,
    Outgoing,
    PluginContext,
    Principal,
    Problems,
    Unauthenticated,
    Unavailable,
)


class ApiKey(Authenticator):
    """Makes a principal of a key in a header, or in the query where that is asked for.

    Both places are protected ones: no upstream sees a key, not even behind a public route where
    nobody looks at it. A route that forwards tokens gets back the one that was accepted.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA

    def __init__(
        self,
        *,
        header: str,
        keys: Sequence[Mapping[str, Any]] = (),
        keys_file: str | None = None,
        query: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.protects = frozenset({header.lower()})
        self.protects_query = frozenset() if query is None else frozenset({query})
        self._entries = keys
        self._keys_file = keys_file
        self._header = header
        self._query = query
        self._now = now
        self._holders: Holders | None = None
        self._file: KeysFile | None = None

    def check(self, problems: Problems) -> None:
        check_keys(self._entries, self._now(), problems, "keys.")
        if not self._entries and self._keys_file is None:
            problems.add("", "nobody has a key", hint="add 'keys', or 'keys_file'")

    async def setup(self, context: PluginContext) -> None:
        bound = {each: await context.secrets.bind(each) for each in references_in(self._entries)}
        holders = Holders(self._entries, bound, context.entry.identity, context.logger)
        if self._keys_file is not None:
            self._file = KeysFile(self._keys_file, holders, self._now, context.logger)
            await self._file.read()
        holders.begin()
        self._holders = holders
        if self._file is not None:
            name = f"keys of {self._keys_file}"
            context.spawn(self._file.follow, name=name, restart=True)

    async def ready(self) -> str | None:
        of_file = None if self._file is None else self._file.trouble
        trouble = [] if self._holders is None else self._holders.told()
        return "; ".join([*([of_file] if of_file else ()), *trouble]) or None

    def challenge(self) -> str | None:
        return f'ApiKey realm="brain", header="{self._header}"'

    def explain(self, exchange: Exchange) -> list[str]:
        places = [f"the header {self._header}"]
        if self._query is not None:
            places.append(f"the query parameter {self._query}")
        sent = "sent on" if exchange.route.forward_token else "kept from the upstream"
        return [
            f"looks for {self._counted()} in {' or '.join(places)}",
            f"a key that is accepted is {sent}",
        ]

    def _counted(self) -> str:
        count = len(self._entries)
        listed = [] if not count else ["one key" if count == 1 else f"one of {count} keys"]
        filed = [] if self._keys_file is None else [f"a key of {self._keys_file}"]
        return " or ".join([*listed, *filed])

    def authenticate(self, request: web.BaseRequest) -> Principal | None:
        in_header = request.headers.getall(self._header, ())
        in_query = () if self._query is None else request.query.getall(self._query, ())
        presented = [*in_header, *in_query]
        if not presented:
            return None
        if len(presented) > 1:
            raise Unauthenticated(log="more than one API key")
        principal = self._judge(presented[0])
        exchange = request[EXCHANGE]
        if in_header and exchange.route.forward_token:
            self._restore(exchange.outgoing, presented[0])
        return principal

    def _judge(self, presented: str) -> Principal:
        holders = self._holders
        if holders is None:
            raise Unavailable("it is not set up")
        key = holders.ring.find(presented)
        if key is None:
            if holders.away:
                # It may be the one that the store does not give.
                raise Unavailable("a store does not give all keys", code="secret_unavailable")
            raise Unauthenticated(log="unknown API key")
        if key.expires is not None and key.expires <= self._now():
            raise Unauthenticated(
                "credentials_expired", log=f"API key '{key.principal.subject}' has expired"
            )
        return key.principal

    def _restore(self, outgoing: Outgoing, key: str) -> None:
        """Bring back what the protection of the header has removed; the query was left alone."""
        if outgoing.header(self._header) is None:
            outgoing.add_header(self._header, key)
