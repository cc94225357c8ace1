"""What an upstream says of its targets: balance, health, outliers and breaker, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.config.codes import Code
from proxy.config.models import (
    Access,
    Balance,
    Breaker,
    HashKey,
    Health,
    Outliers,
    Policy,
    Retry,
    Timeouts,
    UpstreamSpec,
)
from proxy.config.settings import block_schema, converted
from proxy.config.source import Span
from proxy.config.tree import Path
from proxy.config.work import Work

KEYS = frozenset({"balance", "health", "outliers", "breaker"})
"""Keys of an upstream that are compiled here."""


class Watching:
    """Lays what one place says of these keys over what holds outside of it."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._schemas = {key: block_schema("defaults", "upstream", key) for key in KEYS}

    def merged(self, spec: UpstreamSpec, given: Mapping[str, Any], path: Path) -> UpstreamSpec:
        """Return `spec` with what is given at `path`; what contradicts itself is reported."""
        if not KEYS & given.keys():
            return spec
        fields: dict[str, Any] = {}
        if "balance" in given:
            fields["balance"] = self._balance(spec.balance, given["balance"], (*path, "balance"))
        if "health" in given:
            fields["health"] = self._health(spec.health, given["health"], (*path, "health"))
        if "outliers" in given:
            at = (*path, "outliers")
            fields["outliers"] = self._outliers(spec.outliers, given["outliers"], at)
        if "breaker" in given:
            fields["breaker"] = self._breaker(spec.breaker, given["breaker"])
        return replace(spec, **fields)

    # -- balance

    def _balance(self, outer: Balance, given: Any, path: Path) -> Balance:
        if isinstance(given, str):
            given = {"policy": given}
        named = given.get("policy", "hash" if "hash" in given else outer.policy.value)
        # Another policy leaves the key of an outer place behind.
        kept = outer.hash if named == Policy.HASH.value else None
        hashed = _key(given["hash"]) if "hash" in given else kept
        balance = Balance(Policy(named), hashed, given.get("sticky", outer.sticky))
        if balance.policy is Policy.HASH and balance.hash is None:
            self._error(
                "hash needs to know by what",
                path,
                "write 'balance: {hash: {header: X-Tenant}}', or 'hash: address'",
            )
        elif "hash" in given and balance.policy is not Policy.HASH:
            self._error(
                f"'hash' says nothing to the policy {balance.policy.value}",
                (*path, "hash"),
                "leave one of the two out",
            )
        elif balance.hash is not None and balance.hash.name.lower() in _NEVER_THERE:
            self._error(
                f"header '{balance.hash.name}' is no request's own: it is of one connection",
                (*path, "hash", "header"),
                "name a header that clients send, or 'hash: address'",
            )
        return balance

    # -- health

    def _health(self, outer: Health | None, given: Any, path: Path) -> Health | None:
        if given is False:
            return None
        if given is True:
            given = {}
        if isinstance(given, str):
            given = {"path": given}
        health = replace(outer or Health(), **converted(self._schemas["health"], given))
        if health.timeout > health.interval:
            self._error(
                f"the interval of {health.interval:g}s is shorter than the timeout of "
                f"{health.timeout:g}s: questions would pile up",
                (*path, "interval" if "interval" in given else "timeout"),
                "make the timeout the shorter one",
            )
        return health

    # -- outliers and breaker

    def _outliers(self, outer: Outliers, given: Any, path: Path) -> Outliers:
        if isinstance(given, bool):
            return replace(outer, on=given)
        outliers = replace(outer, on=True, **converted(self._schemas["outliers"], given))
        if outliers.longest < outliers.eject_for:
            self._error(
                f"'longest' of {outliers.longest:g}s is below 'eject_for' of {outliers.eject_for:g}s",
                (*path, "longest" if "longest" in given else "eject_for"),
                "make 'longest' the longer one",
            )
        return outliers

    def _breaker(self, outer: Breaker | None, given: Any) -> Breaker | None:
        if given is False:
            return None
        settings = {} if given is True else converted(self._schemas["breaker"], given)
        return replace(outer or Breaker(), **settings)

    # -- targets

    def check_targets(self, spec: UpstreamSpec, path: Path) -> None:
        """Report targets of which none would ever be asked."""
        if sum(target.weight for target in spec.targets if not target.backup):
            return
        self._error(
            "no target of this upstream would ever be asked: each is a backup, or weighs nothing",
            (*path, "targets"),
            "give one that is no backup a weight above 0",
        )

    def _error(self, message: str, path: Path, hint: str) -> None:
        self._work.report.error(Code.TRAFFIC, message, self._work.key(*path), hint)


_NEVER_THERE = frozenset(
    {
        "connection",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
        "trailer",
        "proxy-connection",
    }
)
"""Hop-by-hop headers (RFC 9110, 7.6.1)."""


def check_key(work: Work, what: str, access: Access, balance: Balance, span: Span) -> None:
    """Report a route whose targets are chosen by a claim of callers that nobody asks for."""
    if balance.hash is not None and balance.hash.kind == "claim" and access is Access.PUBLIC:
        message = f"{what} is public, but its targets are chosen by the claim '{balance.hash.name}'"
        hint = "ask who calls, or choose by a header, a cookie or the address"
        work.report.error(Code.CLAIMS_NEEDED, message, span, hint)


def check_tries(work: Work, what: str, retry: Retry, timeouts: Timeouts, span: Span) -> None:
    """Report a single try that may take longer than all of them together."""
    if retry.per_try is not None and retry.per_try > timeouts.response:
        message = (
            f"{what}: one try may take {retry.per_try:g}s ('retry.per_try'), and all together "
            f"{timeouts.response:g}s ('timeouts.response')"
        )
        work.report.error(Code.TRAFFIC, message, span, "make 'per_try' the shorter one")


def _key(given: Any) -> HashKey:
    if isinstance(given, str):
        return HashKey(given)
    ((kind, name),) = given.items()
    return HashKey(kind, name)
