"""The options of `access-log`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _names(text: str) -> Mapping[str, Any]:
    return {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "description": "One name."},
        "default": [],
        "description": f"{text} Default none. Values are cut at 512 characters, what is not "
        "printable is escaped; names that may hold a credential are refused.",
    }


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Writes one line for each exchange when it is over.",
    "properties": {
        "format": {
            "enum": ["json", "text"],
            "type": "string",
            "default": "json",
            "description": "json: one object a line, for machines. text: key=value pairs, for "
            "people. Default json. Both hold the same fields.",
        },
        "file": {
            "type": "string",
            "minLength": 1,
            "default": "stdout",
            "description": "Where lines go: stdout, stderr, or a file's path, relative to the "
            "working directory. Default stdout. A file is appended to, written about ten times a "
            "second, and opened anew when it was renamed (logrotate needs no signal). When it is "
            "too slow, lines beyond 4 MiB are dropped and counted; requests never wait.",
        },
        "request_headers": _names("Headers of the client's request that are logged."),
        "response_headers": _names("Headers of the answer that are logged, the first of a name."),
        "query": _names("Query parameters whose values are logged; all others never are."),
    },
}
