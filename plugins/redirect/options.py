"""The options of `redirect`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HOST = r"^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$"

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Answers with a redirect, before anybody is authenticated and without asking "
    "the upstream. Either `to` names the new place of a route, or `scheme` and `host` say how all "
    "clients should come: who comes so already passes on. As everywhere, the route has an upstream "
    "and says who may call; the upstream is not asked. In the global chain it concerns the "
    "gateway's own pages on the public listener too.",
    "properties": {
        "to": {
            "type": "string",
            "minLength": 1,
            "format": "template",
            "x-roots": ["request", "service"],
            "description": "The new place as clients see it: a path such as /new, or a URL such as "
            "https://example.com/new. It may hold values, as in /articles/${request.path.slug}, "
            "but not in its scheme and host; they are percent-encoded. A value that the request "
            "lacks answers 400. Default none.",
        },
        "prefix": {
            "type": "string",
            "pattern": r"^/[^?#\s]*$",
            "description": "Path that `to` stands for: what follows it is put behind `to`, byte "
            "for byte, so that prefix /old with to /new sends /old/a/b to /new/a/b. Requests "
            "outside of it pass on. Default none: `to` is the whole path.",
        },
        "scheme": {
            "type": "string",
            "enum": ["http", "https"],
            "description": "Scheme by which clients should come: host, path and query are kept, the "
            "port is left out. Behind a proxy that ends TLS, list that proxy in "
            "gateway.trusted_proxies: otherwise every request looks like http, and clients run in "
            "circles. Default: as they came.",
        },
        "host": {
            "type": "string",
            "pattern": _HOST,
            "description": "The one host by which clients should come, with its port unless that is "
            "the scheme's own: example.com, or example.com:8443. Default: the one that they named.",
        },
        "port": {
            "type": "integer",
            "minimum": 1,
            "maximum": 65535,
            "description": "Port of the place that `scheme` leads to, where it is not the scheme's "
            "own. Default: the scheme's own.",
        },
        "status": {
            "type": "integer",
            "enum": [301, 302, 303, 307, 308],
            "default": 308,
            "description": "Status of the answer. 308 and 301 are for good: clients remember them. "
            "307 and 302 are for now. With 307 and 308 a POST stays a POST; with 301 and 302 many "
            "clients make it a GET, with 303 all do. Default 308.",
        },
        "keep_query": {
            "type": "boolean",
            "default": True,
            "description": "Whether the client's query goes along, behind that of `to`. Default "
            "true.",
        },
        "cache_control": {
            "type": "string",
            "pattern": "^[ -~]+$",
            "description": "Cache-Control of the answer, such as max-age=3600. Default none: then "
            "browsers may keep a 301 or 308 for ever, also after it is gone from here.",
        },
    },
}
