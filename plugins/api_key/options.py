"""The options of `api-key`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DIGEST = "^[0-9A-Fa-f]{64}$"


def _words(text: str) -> Mapping[str, Any]:
    return {
        "type": "array",
        "default": [],
        "items": {"type": "string", "minLength": 1, "description": "One name."},
        "description": f"{text} Default none.",
    }


_KEY: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "sha256"],
    "description": "One caller.",
    "properties": {
        "name": {
            "type": "string",
            "minLength": 1,
            "description": "Who holds the key: the principal's subject, in logs and templates.",
        },
        "sha256": {
            "type": ["string", "array"],
            "writeOnly": True,
            "pattern": _DIGEST,
            "minItems": 1,
            "maxItems": 2,
            "items": {
                "type": "string",
                "pattern": _DIGEST,
                "writeOnly": True,
                "description": "A digest.",
            },
            "description": "SHA-256 of the key in 64 hexadecimal digits, or two of them while "
            'callers move to a new key. printf %s "$key" | sha256sum prints it. The key itself '
            "never stands in a file; let it have 128 random bits or more.",
        },
        "tenant": {
            "type": "string",
            "minLength": 1,
            "description": "The principal's tenant. Default none.",
        },
        "scopes": _words("What the caller may do, for authorize."),
        "roles": _words("What the caller is, for authorize and identity headers."),
        "expires": {
            "type": "string",
            "description": "When the key ends: 2027-01-31 (the end of that day in UTC) or "
            "2027-01-31T12:00:00Z. Default never. From then on it answers 401 "
            "credentials_expired.",
        },
    },
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["keys"],
    "description": "Lets callers in that present a key; the file holds digests only.",
    "properties": {
        "keys": {
            "type": "array",
            "minItems": 1,
            "items": _KEY,
            "description": "The callers. A name or a digest that is there twice is an error.",
        },
        "header": {
            "type": "string",
            "pattern": "^[A-Za-z0-9-]+$",
            "default": "X-Api-Key",
            "description": "Header that holds the key. Default X-Api-Key. It is removed from every "
            "request, on public routes too, unless the route says forward_token: true.",
        },
        "query": {
            "type": "string",
            "minLength": 1,
            "description": "Query parameter that holds the key, for callers that can't send a "
            "header. Default none: addresses end up in histories and in logs of others.",
        },
    },
}
