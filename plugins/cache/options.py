"""The options of `cache`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TOKEN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"  # noqa: S105  a field name's form (RFC 9110, 5.6.2)

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Keeps answers to GET in memory and serves them again, as RFC 9111 lets a shared "
    "cache: by the upstream's Cache-Control, Expires, Vary, ETag and Last-Modified. HEAD is answered "
    "from a stored GET; a POST, PUT, PATCH or DELETE that succeeds drops what is stored for its "
    "address. Errors (5xx), answers with Set-Cookie, ranges and streams (event streams, NDJSON, gRPC "
    "and the like) are never stored. It runs after authentication and authorisation. What it stores "
    "for a caller is kept apart from all others, unless the upstream says public: by the caller's "
    "name, tenant, roles, scopes and claims, so that a token with another expiry begins anew, and by "
    "the credentials that the upstream sees. s-maxage alone shares nothing between callers. Plugins "
    "that are listed after it do not run on a hit, and their edits are stored: list it after "
    "`headers` and all that edits answers for one caller. `compress` works behind all of them, "
    "wherever it is listed: answers are stored as they came, and coded for each client. "
    "Cache-Status tells what it did (RFC 9211).",
    "properties": {
        "max_size": {
            "type": "string",
            "format": "size",
            "default": "64MiB",
            "description": "Most memory for stored answers with their headers, and for those that "
            "are being stored. Default 64MiB. When it is full, what was not asked for longest goes. "
            "It is one memory for all `cache` entries of the same name (`as`) in the file, over "
            "reloads too; where they differ, the largest counts.",
        },
        "max_entry": {
            "type": "string",
            "format": "size",
            "default": "1MiB",
            "description": "Most bytes of one stored body. Default 1MiB. A larger answer passes as "
            "if there were no cache.",
        },
        "default_ttl": {
            "type": "string",
            "format": "duration",
            "default": "0s",
            "description": "How long an answer is fresh that says nothing of it, in whole seconds: "
            "no max-age, s-maxage or Expires, and a status such as 200, 301 or 404 (RFC 9111, "
            "4.2.2). Default 0s: such an answer is not stored, unless stale_if_error needs it. "
            "Nothing is ever guessed from Last-Modified.",
        },
        "stale_if_error": {
            "type": "string",
            "format": "duration",
            "default": "0s",
            "description": "How long after it went stale an answer may be served in place of a 500, "
            "502, 503 or 504 and of a failed connection, in whole seconds. Default 0s. It stands in "
            "for the directive stale-if-error (RFC 5861), which wins where the upstream sends it; "
            "answers with no-cache, must-revalidate, proxy-revalidate or s-maxage are left out.",
        },
        "wait": {
            "type": "string",
            "format": "duration",
            "default": "5s",
            "description": "How long a request waits for another one that asks the upstream for the "
            "same, in place of asking too. Default 5s; 0s lets each ask. It goes on by itself when "
            "that time is over, and at once when the other's answer turns out not to be for sharing.",
        },
        "credentials": {
            "type": "array",
            "items": {"type": "string", "pattern": _TOKEN, "description": "One name."},
            "default": ["X-Api-Key"],
            "description": "Request headers beside Authorization and Cookie by which the upstream "
            "may know a caller. Default X-Api-Key. A request that brings one of them to the upstream "
            "gets, and leaves behind, only what is public; where an authenticator of the gateway "
            "proved who calls, it shares with that caller's requests that bring the same bytes. So "
            "with `forward_cookies` each session has answers of its own, and with `forward_token` "
            "each token: list the header that such a token stands in.",
        },
    },
}
