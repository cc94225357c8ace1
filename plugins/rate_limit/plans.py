"""Which plan holds for a caller, by a claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from proxy import Exchange, GatewayError

T = TypeVar("T")
REFUSE = "refuse"


def plan_of(claim: str, plans: Mapping[str, T], default: str) -> Callable[[Exchange], T]:
    """Return what finds a caller's plan; it raises GatewayError where there is none, and no default."""
    fallback = plans.get(default)

    def find(exchange: Exchange) -> T:
        principal = exchange.principal
        named = None if principal is None else _claim(principal.claims, claim)
        found = plans.get(named, fallback) if isinstance(named, str) else fallback
        if found is None:
            raise GatewayError("claim_missing", log=f"'{claim}' names no plan")
        return found

    return find


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by the names that lead to it, with dots between."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
