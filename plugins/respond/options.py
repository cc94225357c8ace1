"""The options of `respond`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.respond.content import MOST

_HEADER = "^[A-Za-z0-9-]+$"

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Gives a fixed answer without asking the upstream. A maintenance page: "
    '{status: 503, file: down.html, headers: {Retry-After: "600"}, anonymous: true}, with `allow` '
    "for those who may pass. On a route of its own, a robots.txt: "
    '{body: "User-agent: *\\nDisallow: /\\n"}; a security.txt: {file: security.txt}; the stub of '
    "a health check: {json: {status: ok}}. The route says who may call, and has an upstream, as "
    "every route: name any service, it is not asked. In the global chain it answers everything on "
    "the public listener, the gateway's own pages there included.",
    "properties": {
        "status": {
            "type": "integer",
            "minimum": 200,
            "maximum": 599,
            "default": 200,
            "description": "Status of the answer, 200 to 599. Default 200. With 200, GET and HEAD "
            "carry an ETag of the body, and who has that body already gets a 304.",
        },
        "body": {
            "type": "string",
            "description": "The body as a text, sent in UTF-8. Default none. One of body, json and "
            "file.",
        },
        "json": {
            "type": ["object", "array", "string", "number", "boolean"],
            "additionalProperties": True,
            "description": "The body as a value, sent as JSON. Default none.",
        },
        "file": {
            "type": "string",
            "minLength": 1,
            "description": "The body as a file, relative to the working directory, of at most "
            f"{MOST // 1024**2} MiB. It is read when the configuration is loaded and at each "
            "reload; one that can't be read refuses the load. Default none.",
        },
        "content_type": {
            "type": "string",
            "minLength": 1,
            "description": "Content-Type of the body. Default: text/plain in UTF-8 for body, "
            "application/json for json, by the name's ending for file.",
        },
        "headers": {
            "type": "object",
            "default": {},
            "additionalProperties": {"type": "string", "description": "The value, as it is sent."},
            "description": "Further headers of the answer, names to values. Default none.",
        },
        "anonymous": {
            "type": "boolean",
            "default": False,
            "description": "Whether all callers are answered, before anybody is authenticated. "
            "Default false: where the route asks who calls, a caller that nobody knows gets a 401 "
            "instead. It makes no difference on a public route.",
        },
        "allow": {
            "type": "array",
            "default": [],
            "items": {
                "type": "string",
                "format": "network",
                "description": "A network such as 10.0.0.0/8, or an address.",
            },
            "description": "Clients that pass on to the route instead of being answered, by their "
            "address as gateway.trusted_proxies tell it. Default none.",
        },
        "allow_header": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "sha256"],
            "description": "A header by which requests pass on to the route instead of being "
            "answered, wherever they come from. Default none.",
            "properties": {
                "name": {
                    "type": "string",
                    "pattern": _HEADER,
                    "description": "The header's name. It is removed from every request on its way "
                    "to an upstream.",
                },
                "sha256": {
                    "type": "string",
                    "writeOnly": True,
                    "pattern": "^[0-9A-Fa-f]{64}$",
                    "description": "SHA-256 of the value in 64 hexadecimal digits: "
                    'printf %s "$value" | sha256sum prints it. Let the value be a long random one.',
                },
            },
        },
    },
}
