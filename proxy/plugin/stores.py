"""The option `store` of a plugin, and the address that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

TIMEOUT = 0.25
"""Seconds for one call, connecting included."""

ADDRESS_FORM = "an address such as redis://host:6379 or rediss://host:6379/0, without a query"

STORE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["valkey"],
    "description": "Where all gateways and all workers look, so that they count and remember "
    "together. Default none: each process keeps it by itself.",
    "properties": {
        "valkey": {
            "anyOf": [
                {
                    "type": "string",
                    "format": "store",
                    "writeOnly": True,
                    "description": "The address.",
                },
                {
                    "type": "object",
                    "format": "secret",
                    "description": "Where a secret store keeps the address.",
                },
            ],
            "description": "Address of a Valkey or Redis server: redis://host:6379, or "
            "rediss://user:password@host:6379/0, whose certificate is checked against the "
            "system's authorities. Best from the environment, ${REDIS_URL}, or from a secret store, "
            "{secret: platform/redis, field: url}: then a new address is used at once. Needs the "
            "extra 'valkey' (pip install 'brain-gateway[valkey]').",
        },
        "timeout": {
            "type": "string",
            "format": "timer",
            "default": "250ms",
            "description": "How long one call may take, connecting included. Default 250ms. After "
            "a failure the store is left alone for a moment, so that not every request waits.",
        },
    },
}
"""The option `store` of a plugin that several processes share: see `PluginContext.store`."""

_PORT = 6379
_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where a store is. Its text has neither user nor password."""

    host: str
    port: int
    db: int = 0
    tls: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def digest(self) -> str:
        """Another one for another address, user or password."""
        told = repr((self.host, self.port, self.db, self.tls, self.username, self.password))
        return hashlib.sha256(told.encode()).hexdigest()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"


def address_of(url: str) -> StoreAddress:
    """Return what `url` names. Raises ValueError, which never repeats it: a password is in it."""
    try:
        parts = urlsplit(url)
        port, host = parts.port or _PORT, parts.hostname
    except ValueError:
        raise ValueError(f"expected {ADDRESS_FORM}") from None
    # A query too: a client library would take "?ssl_cert_reqs=none" from there.
    if parts.scheme not in _SCHEMES or not host or parts.query or parts.fragment:
        raise ValueError(f"expected {ADDRESS_FORM}")
    return StoreAddress(
        unquote(host),
        port,
        _database(parts.path),
        _SCHEMES[parts.scheme],
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )


def _database(path: str) -> int:
    number = path.removeprefix("/")
    if number and not (number.isascii() and number.isdecimal() and len(number) < 6):
        raise ValueError("expected the number of a database at the end of the address, or nothing")
    return int(number or 0)
