"""The options of `headers`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_REQUEST_ROOTS = ("request", "principal", "claims", "service")
_RESPONSE_ROOTS = (*_REQUEST_ROOTS, "response")


def _values(deed: str, roots: Sequence[str]) -> Mapping[str, Any]:
    return {
        "type": "object",
        "default": {},
        "additionalProperties": {
            "type": "string",
            "format": "template",
            "x-roots": list(roots),
            "description": "The value, a template such as ${principal.tenant}.",
        },
        "description": f"{deed} Names to values, which may hold {', '.join(roots)}. Default none.",
    }


def _edits(whose: str, missing: str, roots: Sequence[str]) -> Mapping[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "description": f"Edits to {whose}: remove is done first, then set, then add. {missing}",
        "properties": {
            "set": _values("Headers that get this one value, replacing all others.", roots),
            "add": _values("Headers that get one value more, beside those there are.", roots),
            "remove": {
                "type": "array",
                "default": [],
                "items": {"type": "string", "minLength": 1, "description": "A header's name."},
                "description": "Headers that are removed, however often they are there. "
                "Default none.",
            },
        },
    }


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Edits headers on their way to the upstream and back. Host, framing and "
    "hop-by-hop headers belong to the gateway and are refused.",
    "properties": {
        "request": _edits(
            "the request as the upstream sees it",
            "A value that the client did not send answers 400, a missing claim 403.",
            _REQUEST_ROOTS,
        ),
        "response": _edits(
            "the answer as the client sees it, errors of the gateway included",
            "A header whose value is missing is left out: the upstream has acted already.",
            _RESPONSE_ROOTS,
        ),
    },
}
