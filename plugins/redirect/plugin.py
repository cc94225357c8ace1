"""The plugin that redirects."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from plugins.redirect.canonical import Canonical
from plugins.redirect.moved import Moved
from plugins.redirect.options import SCHEMA
from proxy import EXCHANGE, Answer, Exchange, Handler, Plugin, Problems, Stage, Template

_REDIRECTED = frozenset({"no_route", "method_not_allowed"})
"""Of what the gateway refuses: there may be a route where the redirect leads. Whatever else is
refused is ambiguous or malformed, and is not repeated in a header."""


class Redirect(Plugin):
    """Answers with a redirect, without asking the upstream.

    A request that passes on costs one comparison. Nothing that a client sends becomes part of the
    scheme or host of an answer, but the host by which it came, where the file keeps that.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.GUARD

    def __init__(
        self,
        *,
        status: int,
        keep_query: bool,
        to: Template | None = None,
        prefix: str | None = None,
        scheme: str | None = None,
        host: str | None = None,
        port: int | None = None,
        cache_control: str | None = None,
    ) -> None:
        self._place: Moved | Canonical
        if to is not None:
            self._place = Moved(to, prefix, keep_query=keep_query)
        else:
            self._place = Canonical(scheme, host, port, keep_query=keep_query)
        self._beside = {"scheme": scheme, "host": host, "port": port}
        self._prefix = prefix
        self._status = status
        self._headers = {} if cache_control is None else {"Cache-Control": cache_control}

    def check(self, problems: Problems) -> None:
        self._place.check(problems)
        if isinstance(self._place, Moved):
            for name, given in self._beside.items():
                if given is not None:
                    problems.add(name, f"'{name}' can't stand beside 'to': write it there")
        elif self._prefix is not None:
            problems.add("prefix", "'prefix' needs 'to', which stands for it")

    def explain(self, exchange: Exchange) -> list[str]:
        if not self._place.concerns(exchange):
            return [f"lets this pass: only others are led to {self._place}"]
        return [f"answers {self._status} and leads to {self._place}"]

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        if not self._place.concerns(exchange) or _is_not_told(exchange):
            return handler(request)
        return self._answer(self._place.location(request))

    async def _answer(self, location: str) -> Answer:
        return Answer(status=self._status, headers={"Location": location, **self._headers})


def _is_not_told(exchange: Exchange) -> bool:
    """Tell whether a request is none that could be made elsewhere.

    "*" asks of the server as a whole (RFC 9110, 9.3.7).
    """
    error = exchange.error
    return exchange.path == "*" or (error is not None and error.code not in _REDIRECTED)
