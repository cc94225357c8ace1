"""The options of `api-key`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _words(text: str) -> Mapping[str, Any]:
    return {
        "type": "array",
        "default": [],
        "items": {"type": "string", "minLength": 1, "description": "One name."},
        "description": f"{text} Default none.",
    }


_DIGEST: Mapping[str, Any] = {
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{64}$",
    "writeOnly": True,
    "description": "A digest, in 64 hexadecimal digits.",
}
_PLACE: Mapping[str, Any] = {
    "type": "object",
    "format": "secret",
    "description": "Where a digest is kept: a field of a secret that holds 64 hexadecimal digits.",
}
_OF_FILE = (
    "SHA-256 of the key in 64 hexadecimal digits, or two of them while callers move to a new key. "
    'printf %s "$key" | sha256sum prints it. The key itself never stands in a file; let it have 128 '
    "random bits or more."
)


def _key(*digests: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    one = {"anyOf": list(digests)} if len(digests) > 1 else digests[0]
    several = {
        "type": "array",
        "minItems": 1,
        "maxItems": 2,
        "items": {"description": "A digest.", **one},
        "description": "Two that are good at once.",
    }
    return {
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
            "sha256": {"anyOf": [*digests, several], "description": text},
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


FILE_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "items": _key(_DIGEST, text=_OF_FILE),
    "description": "The callers of a file of keys.",
}
"""What the file holds that `keys_file` names."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Lets callers in that present a key; files and stores hold digests only. It needs "
    "keys, keys_file, or both.",
    "properties": {
        "keys": {
            "type": "array",
            "minItems": 1,
            "items": _key(
                _DIGEST,
                _PLACE,
                text=f"{_OF_FILE} Either may be {{secret: path, field: name}} instead, where a store "
                "keeps it: a new one is used without a reload.",
            ),
            "description": "The callers. Default none. A name or a digest that is there twice is an "
            "error.",
        },
        "keys_file": {
            "type": "string",
            "minLength": 1,
            "description": "A YAML or JSON file with further callers, a list as in keys but with "
            "digests only, relative to the working directory. Default none. It is at most 1 MiB, and "
            "neither writable by its group nor open to others (chmod 600). It is looked at every 5 "
            "seconds: a change needs no reload, and one that can't be used, or a file that is gone, "
            "leaves the keys of before in use, is logged with its line and shown on /ready. An empty "
            "list lets nobody in.",
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
