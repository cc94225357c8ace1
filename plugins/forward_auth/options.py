"""The options of `forward-auth`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.forward_auth.profiles import PROFILES

_NAME = "^[A-Za-z0-9-]+$"

_HEADER: Mapping[str, Any] = {"type": "string", "pattern": _NAME, "description": "Its name."}

_CLAIM: Mapping[str, Any] = {
    "anyOf": [
        _HEADER,
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["header", "separator"],
            "description": "A header that holds a list.",
            "properties": {
                "header": _HEADER,
                "separator": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 8,
                    "description": "What stands between two values, such as '|'.",
                },
            },
        },
    ],
    "description": "A header of the service's answer, or {header: NAME, separator: TEXT} for a list.",
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url"],
    "description": "Asks an outside service who calls: an Authentik outpost, oauth2-proxy, or any that "
    "answers as they do. It gets a GET with the caller's session cookies and Authorization, and method, "
    "scheme, host, path and address of the request in X-Forwarded-Method, -Proto, -Host, -Uri, -For, "
    "X-Real-IP, X-Original-Method and X-Original-URL; never the body. 2xx lets the caller in. 401, 403 "
    "and redirects are relayed, a redirect to pages alone. Anything else is 503 auth_unavailable: "
    "nobody gets in.",
    "properties": {
        "url": {
            "type": "string",
            "pattern": "^https?://[^/?#@\\s]+(/[^#\\s]*)?$",
            "description": "What is asked, such as http://authentik-outpost:9000/outpost.goauthentik.io"
            "/auth/traefik. Its redirects are not followed.",
        },
        "profile": {
            "type": "string",
            "enum": sorted(PROFILES),
            "description": "Whose habits fill in session, claims and copy where they are not given; "
            "brain explain and /config show them written out. Default none: then claims is needed.",
        },
        "session": {
            "type": "array",
            "default": ["authentik_proxy_*", "_oauth2_proxy*"],
            "items": {
                "type": "string",
                "pattern": "^[!#$%&'+.^_`|~0-9A-Za-z-]+[*]?$",
                "description": "A name, or the beginning of names with an asterisk behind it.",
            },
            "description": "The service's cookies. They alone are sent to it, they alone may be set by "
            "it, and they reach no upstream. A caller who has none, and no Authorization of `schemes`, "
            "is not asked about until nobody else knows him. Default authentik_proxy_* and "
            "_oauth2_proxy*, or those of the profile.",
        },
        "schemes": {
            "type": "array",
            "default": ["basic", "bearer"],
            "items": {
                "type": "string",
                "pattern": "^[A-Za-z0-9-]+$",
                "description": "A scheme, in any case.",
            },
            "description": "Schemes of Authorization (RFC 9110, 11.4) that the service judges. Such "
            "credentials are sent to it, and to no upstream. Default basic and bearer; [] where it "
            "knows cookies alone.",
        },
        "headers": {
            "type": "array",
            "default": [],
            "items": {"type": "string", "pattern": _NAME, "description": "A name."},
            "description": "Further headers of the request that the service gets, such as "
            "Accept-Language. None of them is a credential: they make nobody known. Default none.",
        },
        "claims": {
            "type": "object",
            "required": ["subject"],
            "additionalProperties": _CLAIM,
            "description": "Which header of the service's answer holds what: subject, tenant, roles, "
            "scopes (these two split at commas where no separator is said) and any further name, as "
            "${claims.NAME}. An answer without the subject lets nobody in. Default: the profile's.",
        },
        "copy": {
            "type": "array",
            "default": [],
            "items": {"type": "string", "pattern": _NAME, "description": "A name."},
            "description": "Headers of the service's answer that the upstream gets. These, and those "
            "that `claims` reads, are removed from what clients send, on every route. Default none, or "
            "those of the profile.",
        },
        "cache": {
            "type": "string",
            "format": "duration",
            "default": "10s",
            "description": "For how long a caller who was let in is not asked about again: so long may "
            "one who has logged out still get in. At most 5m; refusals are never kept. Requests that "
            "come together with one credential ask once. With 0s every request asks. Default 10s.",
        },
        "cache_per": {
            "type": "string",
            "enum": ["credential", "path"],
            "default": "credential",
            "description": "What one verdict stands for: credential is all requests of one session, "
            "address, scheme and host; path is for services that decide by method, path or query "
            "too. Default credential.",
        },
        "timeout": {
            "type": "string",
            "format": "timer",
            "default": "2s",
            "description": "How long the service may take for its whole answer; at most 30s. Then it "
            "is 503. Default 2s.",
        },
        "max_body": {
            "type": "string",
            "format": "size",
            "default": "64KiB",
            "description": "The largest body of an answer; above it is 503. At most 1MiB. Default "
            "64KiB.",
        },
    },
}
