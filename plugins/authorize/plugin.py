"""The plugin that says which callers may do what."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import hdrs, web

from plugins.authorize.checks import check_rules
from plugins.authorize.options import SCHEMA
from plugins.authorize.rules import Lack, Rule
from proxy import EXCHANGE, Answer, Exchange, GatewayError, Handler, Plugin, Problems, Stage

_OVERRIDES = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})
"""By these some frameworks take a request for one with another method than it came with."""


class Authorize(Plugin):
    """Lets a caller pass whom one of its rules admits, and nobody else.

    It is no coroutine: rules are compiled into sets, and those that may take a method are known
    before a request comes.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.AUTHORIZE

    def __init__(self, *, allow: Sequence[Mapping[str, Any]]) -> None:
        self._rules = tuple(Rule(**options) for options in allow)
        named = {method for rule in self._rules for method in rule.methods}
        self._for = {method: self._taking(method) for method in named}
        self._for_others = self._taking("")
        self.needs_caller = not any(rule.anonymous for rule in self._rules)
        self.protects = _OVERRIDES if named else frozenset()

    def _taking(self, method: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self._rules if rule.takes(method))

    def check(self, problems: Problems) -> None:
        check_rules(self._rules, problems)

    def admits(self) -> str:
        return " | ".join(map(str, self._rules))

    def explain(self, exchange: Exchange) -> list[str]:
        rules = [f"rule {number}: {rule}" for number, rule in enumerate(self._rules, 1)]
        return [*rules, self._verdict(exchange)]

    def _verdict(self, exchange: Exchange) -> str:
        who = "who is not known" if exchange.principal is None else "this caller"
        for rule in self._for.get(exchange.method, self._for_others):
            if rule.lacks(exchange.principal, exchange) is None:
                return f"{who} would pass by rule {self._rules.index(rule) + 1}"
        refusal = self._refusal(exchange, "")
        why = f": {refusal.log}" if refusal.log else ""
        return f"{who} would be refused with {refusal.status} {refusal.code}{why}"

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        principal = exchange.principal
        for rule in self._for.get(exchange.method, self._for_others):
            if rule.lacks(principal, exchange) is None:
                return handler(request)
        raise self._refusal(exchange, request.headers.get(hdrs.AUTHORIZATION, ""))

    def _refusal(self, exchange: Exchange, authorization: str) -> GatewayError:
        """Return the error by what the rule asks that came nearest to letting the caller pass."""
        principal = exchange.principal
        if principal is None:
            return GatewayError("credentials_missing")
        nearest, lack = None, Lack.OTHER
        for rule in self._for.get(exchange.method, self._for_others):
            missing = rule.lacks(principal, exchange)
            if nearest is None or (missing or Lack.OTHER) > lack:
                nearest, lack = rule, missing or Lack.OTHER
        if nearest is None:
            return GatewayError("access_denied", log=f"no rule is for {exchange.method}")
        log = f"the nearest rule is {self._rules.index(nearest) + 1}: {nearest}"
        if lack is Lack.SCOPE:
            return GatewayError("scope_missing", log=log, headers=_step_up(nearest, authorization))
        if lack is Lack.ROLE:
            return GatewayError("role_missing", log=log)
        return GatewayError("access_denied", log=log)


def _step_up(rule: Rule, authorization: str) -> Mapping[str, str]:
    """Return what tells the holder of a Bearer token which scope to ask for (RFC 6750, 3.1)."""
    if authorization.partition(" ")[0].lower() != "bearer":
        return {}
    scope = rule.needed_scopes()
    told = f'Bearer realm="brain", error="insufficient_scope", scope="{scope}"'
    return {"WWW-Authenticate": told}
