"""What is counted together: the key of a request.

Each begins with a letter for its kind, and a value that others could go on with stands last or is
encoded: no caller can spell another one's key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_network

from aiohttp import web

from proxy import Exchange, GatewayError, Principal, Template, render

KeyOf = Callable[[web.BaseRequest, Exchange], str]

MOST_KNOWN = 1024
"""Principals whose keys are remembered."""

KINDS = ("principal", "tenant", "api-key", "address", "route")
OF_CALLER = frozenset({"principal", "tenant", "api-key"})
_ROOTS_OF_CALLER = frozenset({"principal", "claims"})


def after_authentication(key: str | Template) -> bool:
    """Whether a key is known only once a caller was authenticated."""
    if isinstance(key, Template):
        return any(name.partition(".")[0] in _ROOTS_OF_CALLER for name in key.names)
    return key in OF_CALLER


def key_of(key: str | Template, ipv6_prefix: int) -> KeyOf:
    """Return what makes a request's key; it raises GatewayError where a value is missing."""
    if isinstance(key, Template):
        return lambda request, _: f"x{render(key, request, quote=True)}"
    by_address = _by_address(ipv6_prefix)
    made: Mapping[str, KeyOf] = {
        "address": by_address,
        "route": lambda _, exchange: f"r{exchange.route.name}",
        "principal": _by_principal(by_address),
        "api-key": _by_principal(by_address),
        "tenant": _by_tenant(by_address),
    }
    return made[key]


def _by_address(ipv6_prefix: int) -> KeyOf:
    @lru_cache(maxsize=4096)
    def of_ipv6(address: str) -> str:
        return f"a{network_of(address, ipv6_prefix)}"

    def of_client(_: web.BaseRequest, exchange: Exchange) -> str:
        address = exchange.client.address
        return of_ipv6(address) if ":" in address else f"a{address}"

    return of_client


def network_of(address: str, ipv6_prefix: int) -> str:
    """Return the IPv4 address inside of an IPv6 one, else the network that its owner has."""
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    bare = address.partition("%")[0]
    return str(ip_network((bare, ipv6_prefix), strict=False).network_address)


def _by_principal(unknown: KeyOf) -> KeyOf:
    """Return what makes a caller's key; of a principal that comes again it is remembered."""
    known: dict[int, tuple[Principal, str]] = {}

    def of_caller(request: web.BaseRequest, exchange: Exchange) -> str:
        principal = exchange.principal
        if principal is None:
            return unknown(request, exchange)
        found = known.get(id(principal))
        if found is None or found[0] is not principal:
            # Kept alive here, so that no other one can have the same id.
            if len(known) >= MOST_KNOWN:
                del known[next(iter(known))]
            found = known[id(principal)] = principal, _of_principal(principal)
        return found[1]

    return of_caller


def _of_principal(principal: Principal) -> str:
    # Of two issuers in one list either may have a caller of this name.
    issuer = principal.claims.get("iss")
    told = f"{len(issuer)} {issuer}" if isinstance(issuer, str) else ""
    return f"p{principal.by} {told} {principal.subject}"


def _by_tenant(unknown: KeyOf) -> KeyOf:
    def of_tenant(request: web.BaseRequest, exchange: Exchange) -> str:
        principal = exchange.principal
        if principal is None:
            return unknown(request, exchange)
        if principal.tenant is None:
            raise GatewayError("claim_missing", log="no tenant to count by")
        return f"t{principal.tenant}"

    return of_tenant
