"""The options of `rate-limit`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.rate_limit.keys import KINDS
from plugins.rate_limit.plans import REFUSE
from proxy import STORE_SCHEMA

_RATE: Mapping[str, Any] = {
    "type": "string",
    "format": "rate",
    "description": "So many requests in a second, minute, hour or day: 50/s, 100/min, 1000/h, "
    "5000/d. As many may come at once, and then one more every part of the time: after 100 requests "
    "at 100/min one every 0.6 s.",
}

_WINDOW: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rate"],
    "description": "One window.",
    "properties": {
        "rate": _RATE,
        "burst": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000_000,
            "description": "How many may come at once. Default the rate's own number. With less, "
            "callers are held to an even pace; with more, they may save up.",
        },
        "name": {
            "type": "string",
            "pattern": "^[A-Za-z0-9-]+$",
            "description": "Its name in the headers RateLimit and RateLimit-Policy. Default the "
            "rate, behind the plan's name where it is of a plan.",
        },
    },
}


def _windows(text: str) -> Mapping[str, Any]:
    return {
        "anyOf": [
            _RATE,
            {
                "type": "array",
                "minItems": 1,
                "maxItems": 8,
                "items": {"anyOf": [_RATE, _WINDOW]},
                "description": "Several windows: all must admit a request, and one that is refused "
                "takes from none of them.",
            },
        ],
        "description": text,
    }


_PLANS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["claim", "default", "limits"],
    "description": "Limits by what a caller pays for. They hold beside 'limits'.",
    "properties": {
        "claim": {
            "type": "string",
            "minLength": 1,
            "description": "The claim that names the plan: plan, or deeper, org.plan.",
        },
        "limits": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[A-Za-z0-9-]+$"},
            "additionalProperties": _windows("The plan's limits: a rate, or a list of windows."),
            "description": "The plans: names as the claim has them, and the limits of each.",
        },
        "default": {
            "type": "string",
            "minLength": 1,
            "description": "The plan of callers without the claim, and of those whose claim names "
            f"no plan of the list; or {REFUSE}: they answer 403 claim_missing.",
        },
    },
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["key"],
    "description": "Lets so many requests pass in a time. What is above answers 429 rate_limited "
    "with Retry-After; all answers tell what is left in RateLimit and RateLimit-Policy.",
    "properties": {
        "limits": _windows("How many requests of one key: a rate, or a list of windows."),
        "plans": _PLANS,
        "key": {
            "anyOf": [
                {
                    "type": "string",
                    "enum": list(KINDS),
                    "description": "A kind of key.",
                },
                {
                    "type": "string",
                    "format": "template",
                    "pattern": "\\$\\{",
                    "description": "One of address, route, principal, api-key and tenant, or a "
                    "template such as ${claims.org}.",
                },
            ],
            "description": "What is counted together. address (the client's, behind "
            "trusted_proxies the one that they tell), route (all callers of a route together), "
            "principal (a caller; of an API key its name), api-key (the same), tenant, or a "
            "template such as ${claims.org}. By address, route and what the request says it stands "
            "before authentication; by who calls, behind it. Where nobody had to say who he is, "
            "principal, api-key and tenant count by address.",
        },
        "ipv6_prefix": {
            "type": "integer",
            "minimum": 32,
            "maximum": 128,
            "default": 64,
            "description": "How many bits of an IPv6 address are one caller: who has one address "
            "has all of its network. Default 64.",
        },
        "max_keys": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10_000_000,
            "default": 100_000,
            "description": "How many keys one process remembers of each window, 170 bytes each at "
            "most. Default 100000. Above, one of those that came least lately is forgotten for each "
            "new one, and begins with a whole limit again.",
        },
        "store": STORE_SCHEMA,
        "on_store_error": {
            "type": "string",
            "enum": ["local", "deny", "allow"],
            "default": "local",
            "description": "What holds while the store is away. local: each process counts by "
            "itself; deny: 503 store_unavailable; allow: no limit. Default local.",
        },
        "local_share": {
            "type": "string",
            "format": "percent",
            "default": "100%",
            "description": "Which part of each limit one process grants while it counts by itself "
            "for lack of the store. Default 100%: each the whole. With four processes 25% keeps the "
            "sum.",
        },
    },
}
