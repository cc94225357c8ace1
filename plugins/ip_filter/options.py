"""The options of `ip-filter`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _networks(text: str, least: int) -> Mapping[str, Any]:
    return {
        "type": "array",
        "minItems": least,
        "items": {
            "type": "string",
            "format": "network",
            "description": "A network such as 10.0.0.0/8 or 2001:db8::/32, or one address.",
        },
        "description": text,
    }


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "description": "Refuses requests by the client's address with 403 address_refused, before anybody "
    "is authenticated. The address is the connection's own, or what one of gateway.trusted_proxies "
    "tells; what others say of themselves in X-Forwarded-For is not looked at.",
    "properties": {
        "allow": _networks(
            "Networks that may call; all others are refused. 0.0.0.0/0 means IPv4 alone. Default: "
            "everyone may whom 'deny' does not name.",
            1,
        ),
        "deny": _networks(
            "Networks that may not call, also where 'allow' names them, however exactly. Default "
            "none.",
            0,
        ),
    },
}
