"""The options of `ticket`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy import STORE_SCHEMA

LONGEST_LIFE = 300.0
"""Seconds: what stands in a URL gets into histories and logs, and must be worthless there soon."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Lets EventSource, WebSocket, downloads and images in, which can't send a header: "
    'POST <base_path>/_ticket {"path": "/api/brain/agents/chat"} with a credential that this path '
    "takes answers a ticket; GET of the path with ?ticket=… lets its holder in once.",
    "properties": {
        "lifetime": {
            "type": "string",
            "format": "timer",
            "default": "30s",
            "description": "How long a ticket may be used after it was given out; it opens a stream, "
            "which may then last longer. Default 30s, at most 5m.",
        },
        "query": {
            "type": "string",
            "pattern": "^[A-Za-z][A-Za-z0-9_-]*$",
            "default": "ticket",
            "description": "Query parameter that holds it. Default ticket. No upstream sees it.",
        },
        "key": {
            "format": "secret",
            "type": "object",
            "description": "Secret by which tickets are sealed, 32 characters or more: "
            "{secret: path, field: name}. All gateways behind one address need the same. Default: a "
            "random one, kept in gateway.state_dir where that is given, else as long as the process "
            "runs. Tickets that were sealed by another are refused.",
        },
        "store": STORE_SCHEMA,
    },
}
