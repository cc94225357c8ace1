"""The options of `credentials`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.credentials.oauth.options import SCHEMA as OAUTH

_PATH: Mapping[str, Any] = {
    "type": "string",
    "minLength": 1,
    "format": "secret-path",
    "description": "A path, such as tenants/${principal.tenant}/connectors/crm.",
}


def _value(text: str, default: str | None = None) -> Mapping[str, Any]:
    schema: dict[str, Any] = {
        "type": "string",
        "minLength": 1,
        "format": "template",
        "x-roots": ["secret"],
        "description": text,
    }
    return schema if default is None else {**schema, "default": default}


def _named(pattern: str, text: str) -> Mapping[str, Any]:
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": pattern},
        "additionalProperties": _value("Its value, with ${secret.FIELD} in it."),
        "description": text,
    }


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["secret"],
    "description": "Puts an upstream's credential on each request, from a secret store, chosen by who "
    "calls. What the client sent in its place is removed first; the client never sees it, and a "
    "header of the answer that repeats it is removed. It needs one or more of headers, basic, query, "
    "cookies, path and base_url.",
    "properties": {
        "secret": {
            "anyOf": [
                _PATH,
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 8,
                    "items": _PATH,
                    "description": "Paths, of which the first that exists is used.",
                },
            ],
            "description": "Where the credential is kept: a path of the store, in which "
            "${principal.tenant}, ${principal.subject} and ${claims.NAME} stand for what was verified "
            "of the caller. Each value is one segment of letters, digits, '.', '_' and '-', and the "
            "first segment of the path is the same for all. A caller without the value gets 403 "
            "claim_missing, one with a value that is no name 403 claim_invalid, and nothing is asked. "
            "A list of paths: the first that exists. None exists: 424 credential_missing.",
        },
        "store": {
            "type": "string",
            "minLength": 1,
            "description": "Which store of the section 'secrets' keeps it: vault, file or env. Needed "
            "only where there are several. The environment can't tell callers apart, so there the "
            "path is the same for all.",
        },
        "headers": _named(
            "^[A-Za-z0-9_-]+$",
            'Headers by name, such as Authorization: "Bearer ${secret.token}". Default none.',
        ),
        "basic": {
            "type": "object",
            "additionalProperties": False,
            "required": ["user", "password"],
            "description": "User and password for HTTP Basic (RFC 7617), as the header Authorization. "
            "Default none.",
            "properties": {
                "user": _value("The user, such as ${secret.user}; it has no colon."),
                "password": _value("The password, such as ${secret.password}."),
            },
        },
        "query": _named(
            "^[^&=#\\s]+$",
            "Parameters of the query by name, such as key: ${secret.key}, for upstreams that take "
            "nothing else. Default none. They end up in the logs of the upstream.",
        ),
        "cookies": _named(
            "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
            "Cookies by name, such as session: ${secret.session}. Default none.",
        ),
        "path": _value(
            "What is put before the path that is sent, such as /bot${secret.token}. Values are "
            "percent-encoded. Default none."
        ),
        "base_url": _value(
            "Where the request is sent, for connectors whose host belongs to the tenant: "
            "${secret.base_url}, such as https://shop.example.com/wp-json. Default none: the service's "
            "upstream. Its path takes the place of the upstream's own. Only https, with the host's "
            "certificate verified, and only public addresses: what the host means is looked at when a "
            "connection is opened, and an address that is private answers 502 tenant_address_refused."
        ),
        "hosts": {
            "type": "object",
            "additionalProperties": False,
            "default": {},
            "description": "Which hosts base_url may name. Default: any public one.",
            "properties": {
                "suffixes": {
                    "type": "array",
                    "default": [],
                    "items": {"type": "string", "minLength": 1, "description": "A suffix."},
                    "description": "Names in which a host must end, such as [myshopify.com]. Default "
                    "none: any name. Name them where you can: a tenant then reaches nothing else.",
                },
                "networks": {
                    "type": "array",
                    "default": [],
                    "items": {
                        "type": "string",
                        "format": "network",
                        "description": "A network.",
                    },
                    "description": "Networks that are not public and may be reached all the same, "
                    "such as [10.20.0.0/16]. Default none. Whoever writes a tenant's secret reaches "
                    "all of them.",
                },
                "ports": {
                    "type": "array",
                    "minItems": 1,
                    "default": [443],
                    "items": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": 65535,
                        "description": "A port.",
                    },
                    "description": "Ports that base_url may have. Default [443].",
                },
            },
        },
        "oauth": OAUTH,
        "on_status": {
            "type": "array",
            "items": {
                "type": "integer",
                "enum": [401, 403],
                "description": "A status.",
            },
            "default": [401],
            "description": "Statuses by which an upstream refuses a credential. Default [401]; with "
            "[401, 403] an upstream that answers 403 for it, and [] for none. The secret is then read "
            "again, once for all requests that wait, and where it has changed the request is sent a "
            "second time. How often one secret is read so is bounded: callers can provoke it.",
        },
        "keep_body": {
            "type": "string",
            "format": "size",
            "default": "64KiB",
            "description": "Up to which announced length a request's body is received before it is "
            "sent, so that it can be sent a second time. Default 64KiB; 0 keeps none. A longer one, or "
            "one of unknown length, is streamed: then a refused credential is the client's answer, and "
            "the next request has the new one.",
        },
        "required": {
            "type": "boolean",
            "default": True,
            "description": "Whether a secret whose path is the same for all must be there before the "
            "file serves. Default true: a missing one refuses the file. With false it may come later; "
            "until then requests get 424 credential_missing. No request is ever sent without it.",
        },
    },
}
