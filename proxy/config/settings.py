"""Blocks that merge key by key, and the settings of a route that stand alone.

Equal `Timeouts` and `Limits` are one object: 10,000 services that say nothing share one of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from proxy.config.models import (
    Cookies,
    Limits,
    Recent,
    Retry,
    ServerLimits,
    ServerTimeouts,
    Shutdown,
    Timeouts,
    UpstreamSpec,
)
from proxy.config.schema import Schema, language
from proxy.plugin.options import convert_text

Block = TypeVar(
    "Block", Timeouts, Limits, Retry, ServerLimits, ServerTimeouts, Shutdown, Recent, UpstreamSpec
)

_SWITCHES = (
    "strip",
    "rewrite",
    "forward_token",
    "websocket",
    "via",
    "allow_encoded_slash",
    "allow_underscore_headers",
    "host",
)


def converted(schema: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given keys that this version knows, their formats converted."""
    known = schema["properties"]
    return {
        key: _converted(known[key], value)
        for key, value in given.items()
        if key in known and "x-later" not in known[key]
    }


def _converted(schema: Schema, value: Any) -> Any:
    if isinstance(value, str):
        return convert_text(schema, value)
    return tuple(value) if isinstance(value, list) else value


def block_schema(*path: str) -> Schema:
    """Return the language's schema of a block."""
    schema = language()
    for key in path:
        schema = schema["properties"][key]
    return schema


class Blocks:
    """Lays blocks over each other and keeps one object of equal ones."""

    def __init__(self) -> None:
        self._seen: dict[Any, Any] = {}

    def merged(self, outer: Block, schema: Schema, given: Mapping[str, Any] | None) -> Block:
        """Return `outer` with the given keys replaced."""
        if not given:
            return outer
        inner = replace(outer, **converted(schema, given))
        kept: Block = self._seen.setdefault(inner, inner)
        return kept


def switches(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `RouteSpec` that a service or route sets by itself."""
    fields = {name: given[name] for name in _SWITCHES if name in given}
    if "cookies" in given:
        fields["rewrite_cookies"] = given["cookies"] == "rewrite"
    if "location" in given:
        fields["rewrite_location"] = given["location"] == "rewrite"
    if "forward_cookies" in given:
        fields["forward_cookies"] = _cookies(given["forward_cookies"])
    return fields


def _cookies(given: Any) -> Cookies | tuple[str, ...]:
    return Cookies(given) if isinstance(given, str) else tuple(given)
