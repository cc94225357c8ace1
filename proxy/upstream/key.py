"""What a request is known by, for those who choose a target by it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

from proxy.config.models import HashKey
from proxy.rewriting import cookie_value

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange
    from proxy.upstream.target import Target


def key_of(hash_key: HashKey, exchange: Exchange, headers: Mapping[str, str]) -> str | None:
    """Return the key of a request, None where it has none."""
    if hash_key.kind == "address":
        return exchange.client.address
    if hash_key.kind == "header":
        return headers.get(hash_key.name)
    if hash_key.kind == "cookie":
        return cookie_value(headers.get("Cookie", ""), hash_key.name)
    return _claim(exchange, hash_key.name)


def _claim(exchange: Exchange, name: str) -> str | None:
    principal = exchange.principal
    if principal is None:
        return None
    known = {"subject": principal.subject, "tenant": principal.tenant}
    value = known[name] if name in known else principal.claims.get(name)
    return None if value is None else str(value)


def mark(target: Target) -> str:
    """Return what a sticky cookie calls a target: nothing that tells its address to anybody."""
    return blake2b(target.label.encode(), digest_size=8, person=b"sticky").hexdigest()
