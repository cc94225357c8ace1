"""How a place in the tree and a schema's wish are said in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.config.diagnostics import listed
from proxy.config.schema import ENTRY_KEYS
from proxy.config.tree import Path
from proxy.plugin.options import types_of
from proxy.units import DURATION_FORM, PERCENT_FORM, RATE_FORM, SIZE_FORM

_TYPES: Mapping[str, str] = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "null": "nothing",
    "integer": "a whole number",
    "number": "a number",
}
_FORMS: Mapping[str, str] = {
    "duration": DURATION_FORM,
    "timer": DURATION_FORM,
    "size": SIZE_FORM,
    "rate": RATE_FORM,
    "percent": PERCENT_FORM,
}


def subject(path: Path) -> str:
    """Name the place: "service 'lago'", "'timeouts.response' of service 'lago'", "'log'"."""
    owner, rest = _owner(path)
    dotted = ".".join(step for step in rest if isinstance(step, str))
    if owner and dotted:
        return f"'{dotted}' of {owner}"
    return owner or (f"'{dotted}'" if dotted else "the file")


def _owner(path: Path) -> tuple[str, Path]:
    owner, rest = "", path
    match path:
        case ("services", str(name), "routes", int(index), *below):
            owner, rest = f"route {index + 1} of service '{name}'", tuple(below)
        case ("services", str(name), *below):
            owner, rest = f"service '{name}'", tuple(below)
        case ("routes", int(index), *below):
            owner, rest = f"route {index + 1}", tuple(below)
        case ("fallback", *below):
            owner, rest = "the fallback", tuple(below)
    match rest:
        case ("plugins", int(), str(plugin), *below) if plugin not in ENTRY_KEYS:
            owner = f"plugin '{plugin}'" + (f" of {owner}" if owner else "")
            rest = tuple(below)
    return owner, rest


def wish(schema: Mapping[str, Any]) -> str:
    """Say what a schema asks for, by its format or its types."""
    if schema.get("format") in _FORMS:
        return _FORMS[schema["format"]]
    return (
        listed(_TYPES[name] for name in types_of(schema)) if types_of(schema) else "another value"
    )


def kind(value: Any) -> str:
    """Say what a value is, never which: it may have come from the environment."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return "a number"
    return (
        "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"
    )


def constant(value: Any) -> str:
    """Write an enumerated value as it is written in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)
