"""The plugin that tells the upstream who calls."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web

from plugins.identity_headers.options import SCHEMA
from plugins.identity_headers.values import value_of
from proxy import (
    EXCHANGE,
    Answer,
    Exchange,
    GatewayError,
    Handler,
    Outgoing,
    Plugin,
    PreparedHeaders,
    Principal,
    Problems,
    Stage,
    Template,
)

MOST_KNOWN = 1024
"""Principals whose headers are remembered, by instance."""

_REFERENCE = re.compile(r"\$\{[^}]*\}")

_OTHERS = frozenset(
    {
        "authorization",
        "cookie",
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-real-ip",
    }
)
"""Headers that say something else, and that the gateway or the client writes."""


class IdentityHeaders(Plugin):
    """Sets headers from the principal; a client's own never arrive, since they are protected.

    An authenticator that knows a repeated credential gives the same principal again, which is frozen:
    so its headers are made once. Those remembered are kept alive here, so that none other can have the
    same id; the one that came first leaves first.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.AUTHORIZE
    needs_caller = False

    def __init__(
        self, *, headers: Mapping[str, Template | Sequence[Template]], max_length: int
    ) -> None:
        self._headers = {
            name: (given,) if isinstance(given, Template) else tuple(given)
            for name, given in headers.items()
        }
        self._longest = max_length
        self._known: dict[int, tuple[Principal, PreparedHeaders]] = {}
        self.protects = frozenset(map(str.lower, headers))

    def check(self, problems: Problems) -> None:
        seen = set[str]()
        for name, templates in self._headers.items():
            self._check_name(name, seen, problems)
            seen.add(name.lower())
            for template in templates:
                literal = _REFERENCE.sub("", template.text)
                if not (literal.isascii() and literal.isprintable()):
                    problems.add(f"headers.{name}", "what is not a value must be printable ASCII")
                if template.literal and len(templates) > 1:
                    problems.add(
                        f"headers.{name}",
                        f"'{template.text}' would stand in for a value that is missing",
                        hint="leave it out: then the header is not sent",
                    )

    @staticmethod
    def _check_name(name: str, seen: set[str], problems: Problems) -> None:
        if name.lower() in seen:
            problems.add(f"headers.{name}", f"'{name}' is there twice, in other letters")
        elif name.lower() in _OTHERS:
            problems.add(f"headers.{name}", f"'{name}' does not say who calls")
        else:
            try:
                Outgoing("GET", "/", []).add_header(name, "")
            except ValueError as error:
                problems.add(f"headers.{name}", str(error))

    def explain(self, exchange: Exchange) -> list[str]:
        names = ", ".join(self._headers)
        if exchange.principal is None:
            return [f"tells the upstream who calls, where that is known: {names}"]
        try:
            values = self._values(exchange.principal)
        except GatewayError as error:
            return [f"this caller would be refused with {error.status} {error.code}: {error.log}"]
        sent = [f"{name}: {value}" for name, value in values.items() if value is not None]
        absent = [name for name, value in values.items() if value is None]
        return [*sent, *([f"not sent, for want of a value: {', '.join(absent)}"] if absent else [])]

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        principal = exchange.principal
        if principal is not None:
            known = self._known.get(id(principal))
            if known is None or known[0] is not principal:
                known = self._remembered(principal)
            exchange.outgoing.put(known[1])
        return handler(request)

    def _remembered(self, principal: Principal) -> tuple[Principal, PreparedHeaders]:
        known = principal, PreparedHeaders(self._values(principal))
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[id(principal)] = known
        return known

    def _values(self, principal: Principal) -> dict[str, str | None]:
        return {
            name: self._value(name, templates, principal)
            for name, templates in self._headers.items()
        }

    def _value(self, name: str, templates: Sequence[Template], principal: Principal) -> str | None:
        """Return the first text whose values are all there. Raises GatewayError for a bad one."""
        for template in templates:
            try:
                value = template.render(lambda part: value_of(part, principal), quote=False)
            except LookupError:
                continue
            except ValueError:
                raise GatewayError("claim_invalid", log=f"{name}: {_UNCLEAN}") from None
            if len(value) > self._longest:
                raise GatewayError("claim_invalid", log=f"{name}: over {self._longest} bytes")
            return value
        return None


_UNCLEAN = "a control character, or no text"
