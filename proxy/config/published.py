"""The schema as editors get it: wherever `${NAME}` may stand, a text with one is taken.

The loader looks at a value when the environment is in it, and stays strict. An editor sees the file
as it is written: `trusted_proxies: ${PROXIES}` is no list for it. So in what is published, a value
that a text could not be is either itself or `#/definitions/environment`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from proxy.plugin.options import types_of

REFERENCE: Mapping[str, Any] = {"$ref": "#/definitions/environment"}
"""What any value may be instead: a text with `${`."""

_SHORTEST = len("${A}")
_SPOKEN = frozenset({"title", "description", "default", "examples", "x-roots"})
_NAMED = ("properties", "patternProperties", "definitions")
_BELOW = ("items", "additionalProperties")
_SEVERAL = ("oneOf", "anyOf", "allOf")


def as_published(schema: Any) -> Any:
    """Return `schema` with references to the environment taken everywhere below it and by it."""
    if not isinstance(schema, dict):
        return schema
    inner = _below(schema, as_published)
    if schema == _TEXT or not _refuses_references(schema):
        return inner
    spoken = {key: value for key, value in inner.items() if key in _SPOKEN}
    strict = {key: value for key, value in inner.items() if key not in _SPOKEN}
    return {**spoken, "anyOf": [strict, REFERENCE]}


def as_loaded(schema: Any) -> Any:
    """Return what `as_published` was made from: what a value must be behind its references."""
    if not isinstance(schema, dict):
        return schema
    inner = _below(schema, as_loaded)
    match inner.get("anyOf"):
        case [strict, reference] if reference == REFERENCE:
            return {key: value for key, value in inner.items() if key != "anyOf"} | strict
    return inner


_TEXT: Mapping[str, Any] = {
    "description": "Text that an environment value completes: ${NAME} or ${NAME:-default}.",
    "type": "string",
    "pattern": "\\$\\{",
}
"""The definition that `REFERENCE` names; a test holds the file to it."""


def _below(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    changed = dict(schema)
    for key in _NAMED:
        if isinstance(schema.get(key), dict):
            changed[key] = {name: change(below) for name, below in schema[key].items()}
    for key in _BELOW:
        if key in schema:
            changed[key] = change(schema[key])
    for key in _SEVERAL:
        if key in schema:
            alternatives = schema[key]
            changed[key] = [
                each
                if each == REFERENCE
                else _below(each, change)
                if isinstance(each, dict)
                else each
                for each in alternatives
            ]
    return changed


def _refuses_references(schema: Mapping[str, Any]) -> bool:
    """Whether a text with `${` could be wrong here. A mapping never comes from the environment."""
    if "$ref" in schema or "not" in schema:
        return False
    if "enum" in schema or "const" in schema or any(key in schema for key in _SEVERAL):
        return True
    types = types_of(schema)
    if types and "string" not in types:
        return types != ("object",)
    return "pattern" in schema or "maxLength" in schema or schema.get("minLength", 0) > _SHORTEST
