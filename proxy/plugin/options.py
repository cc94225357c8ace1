"""Options as a plugin's constructor takes them: defaults in, marked texts turned into values.

A schema marks a text by `format`: `duration` (seconds), `timer` (the same, above zero), `size`
(bytes), `rate` (`Rate`), `percent` (0.0 to 1.0), `statuses` (inclusive ranges of HTTP statuses),
`template` (`Template`; `x-roots` in the schema narrows or widens what it may name), `store`
(`StoreAddress`), `secret-path` (`SecretPath`). `secret` marks a mapping instead, which names where a
credential is kept (`SecretRef`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from proxy.plugin.references import NOT_HERE, SECRET_KEY, reference_of
from proxy.plugin.secret_path import SecretPath
from proxy.plugin.stores import address_of
from proxy.templates import REQUEST_ROOTS, Template
from proxy.units import (
    DURATION_FORM,
    parse_duration,
    parse_percent,
    parse_rate,
    parse_size,
    parse_statuses,
)

Schema = Mapping[str, Any]

_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}


def types_of(schema: Schema) -> tuple[str, ...]:
    """Return the types that a schema's own `type` names; empty where it names none."""
    named = schema.get("type", ())
    return (named,) if isinstance(named, str) else tuple(named)


def is_type(value: Any, name: str) -> bool:
    """Say whether `value` is of that JSON type. A bool is no integer; 1.0 is one nowhere here."""
    return _CHECKS[name](value)


def convert(schema: Schema | bool, options: Any) -> Any:
    """Return `options` with defaults applied and formats converted, by a schema that they fit.

    Raises ValueError at the first text that its format refuses; validation finds them all before.
    """
    schema = fitting(schema, options)
    if isinstance(options, dict):
        if schema.get("format") == SECRET_KEY:
            return reference_of(options)
        return _convert_mapping(schema, options)
    if isinstance(options, list):
        items = schema.get("items", {})
        return [convert(items, item) for item in options]
    return convert_text(schema, options) if isinstance(options, str) else options


def convert_text(schema: Schema, text: str) -> Any:
    """Convert one text by the schema's `format`; a format that is not ours leaves it as it is.

    Raises ValueError, whose message names the accepted form.
    """
    convert_one = _FORMATS.get(schema.get("format", ""))
    return convert_one(schema, text) if convert_one else text


def fitting(schema: Schema | bool, value: Any) -> Schema:
    """Return the first alternative of `oneOf` or `anyOf` whose type and constants take `value`."""
    if not isinstance(schema, Mapping):
        return {}  # `true` and `false` are schemas too
    alternatives = schema.get("oneOf") or schema.get("anyOf") or ()
    for alternative in alternatives:
        chosen = fitting(alternative, value)
        if _takes(chosen, value):
            return chosen
    return schema


def _takes(schema: Schema, value: Any) -> bool:
    types = types_of(schema)
    if types and not any(is_type(value, name) for name in types):
        return False
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    if isinstance(value, dict):
        return all(name in value for name in schema.get("required", ()))
    return True


def _convert_mapping(schema: Schema, options: Mapping[str, Any]) -> dict[str, Any]:
    known: Mapping[str, Schema | bool] = schema.get("properties", {})
    other = schema.get("additionalProperties", {})
    rest: Schema = other if isinstance(other, dict) else {}
    given = {name: convert(known.get(name, rest), value) for name, value in options.items()}
    absent = {
        name: convert(below, below["default"])
        for name, below in known.items()
        if name not in options and isinstance(below, Mapping) and "default" in below
    }
    return absent | given


def _timer(_schema: Schema, text: str) -> float:
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError(f"expected {DURATION_FORM}, above zero")
    return seconds


def _template(schema: Schema, text: str) -> Template:
    return Template.compile(text, schema.get("x-roots", REQUEST_ROOTS))


def _secret(_schema: Schema, _text: str) -> Any:
    raise ValueError(NOT_HERE)


_FORMATS: Mapping[str, Callable[[Schema, str], Any]] = {
    "duration": lambda _, text: parse_duration(text),
    "timer": _timer,
    "size": lambda _, text: parse_size(text),
    "rate": lambda _, text: parse_rate(text),
    "percent": lambda _, text: parse_percent(text),
    "statuses": lambda _, text: parse_statuses(text),
    "template": _template,
    "store": lambda _, text: address_of(text),
    "secret": _secret,
    "secret-path": lambda _, text: SecretPath.compile(text),
}

TEMPLATE_FORMATS = frozenset({"template", "secret-path"})
"""The formats in whose texts `${lower.case}` is a value of each request."""

OPTION_FORMATS = frozenset(_FORMATS)
"""The formats by which a plugin's options are converted."""
