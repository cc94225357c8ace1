"""The options of `cors`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALWAYS_EXPOSED = (
    "X-Request-Id",
    "Location",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "Proxy-Status",
    "WWW-Authenticate",
    "Content-Disposition",
    "ETag",
    "Link",
)
"""What a page needs to understand an answer, an error or a limit of the gateway."""

_TOKEN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"  # noqa: S105  a field name's form (RFC 9110, 5.6.2)


def _tokens(text: str, default: list[str]) -> Mapping[str, Any]:
    return {
        "type": "array",
        "items": {"type": "string", "pattern": _TOKEN, "description": "One name."},
        "default": default,
        "description": text,
    }


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["origins"],
    "description": "Lets pages of other origins call and read answers. Preflights are answered "
    "here, before authentication; what an upstream says about access control is removed.",
    "properties": {
        "origins": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "description": "One origin."},
            "description": "Origins of pages that may read answers: https://app.example.com, "
            "https://*.example.com (any depth below, not example.com itself), or * alone for "
            "all. With an empty list no other site may read anything. Where any are given, a "
            "WebSocket from another origin answers 403 origin_refused.",
        },
        "credentials": {
            "type": "boolean",
            "default": False,
            "description": "Whether a page may send cookies and HTTP authentication along. "
            "Default false. With origins * it is an error.",
        },
        "methods": _tokens(
            "Methods that a page may use where the route serves them. Default GET, HEAD, POST, "
            "PUT, PATCH and DELETE.",
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        ),
        "headers": _tokens(
            "Request headers that a page may set; * allows all. Default *.",
            ["*"],
        ),
        "expose": _tokens(
            "Further headers of answers that a page may read. Default none. Always: "
            f"{', '.join(ALWAYS_EXPOSED)}.",
            [],
        ),
        "max_age": {
            "type": "string",
            "format": "duration",
            "default": "10m",
            "description": "How long a browser may remember a preflight's answer, in whole "
            "seconds. Default 10m. A change here reaches pages that late; browsers cap it at 2 "
            "to 24 hours.",
        },
    },
}
