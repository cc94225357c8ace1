"""Whether a value surely fits a schema, quickly.

Importing and running jsonschema costs more than all the rest of a start. So a value is first tried
here, by the keywords that our schemas use; True means that it fits, False only that jsonschema must
be asked, which alone says what is wrong. A property test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from proxy.config.formats import check_format
from proxy.plugin.options import is_type, types_of

Schema = Mapping[str, Any]

_ANNOTATIONS = frozenset(
    {
        *("$schema", "$id", "$comment", "title", "description", "default", "examples"),
        *("definitions", "writeOnly"),
    }
)


def accepts(schema: Any, value: Any) -> bool:
    """Return True when `value` fits `schema` for sure."""
    if not isinstance(schema, dict):
        return schema is True
    for keyword, given in schema.items():
        check = _KEYWORDS.get(keyword)
        if check is not None:
            if not check(given, value, schema):
                return False
        elif keyword not in _ANNOTATIONS and not keyword.startswith("x-"):
            return False
    return True


def _type(_given: Any, value: Any, schema: Schema) -> bool:
    return any(is_type(value, name) for name in types_of(schema))


def _enum(given: Any, value: Any, _schema: Schema) -> bool:
    return any(value == known and type(value) is type(known) for known in given)


def _const(given: Any, value: Any, _schema: Schema) -> bool:
    return bool(value == given) and type(value) is type(given)


def _mapping(_given: Any, value: Any, schema: Schema) -> bool:
    """Check `properties`, `patternProperties` and `additionalProperties` in one pass."""
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    other = schema.get("additionalProperties", True)
    for name, below in value.items():
        found = [known[name]] if name in known else []
        if patterns:
            found += [given for pattern, given in patterns.items() if re.search(pattern, name)]
        if not all(accepts(each, below) for each in found or [other]):
            return False
    return True


def _items(given: Any, value: Any, _schema: Schema) -> bool:
    if not isinstance(value, list):
        return True
    return isinstance(given, (dict, bool)) and all(accepts(given, item) for item in value)


def _names(given: Any, value: Any, _schema: Schema) -> bool:
    return not isinstance(value, dict) or all(accepts(given, name) for name in value)


def _required(given: Any, value: Any, _schema: Schema) -> bool:
    return not isinstance(value, dict) or all(name in value for name in given)


def _format(_given: Any, value: Any, schema: Schema) -> bool:
    try:
        check_format(schema, value)
    except ValueError:
        return False
    return True


def _pattern(given: Any, value: Any, _schema: Schema) -> bool:
    return not isinstance(value, str) or re.search(given, value) is not None


def _any_of(given: Any, value: Any, _schema: Schema) -> bool:
    return any(accepts(each, value) for each in given)


def _sized(
    kind: type[str | list[Any] | dict[str, Any]], fits: Callable[[int, int], bool]
) -> Callable[[Any, Any, Schema], bool]:
    return lambda given, value, _schema: not isinstance(value, kind) or fits(len(value), given)


def _bound(fits: Callable[[float, float], bool]) -> Callable[[Any, Any, Schema], bool]:
    return lambda given, value, _schema: not is_type(value, "number") or fits(value, given)


_KEYWORDS: Mapping[str, Callable[[Any, Any, Schema], bool]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "properties": _mapping,
    "patternProperties": lambda given, value, schema: (
        "properties" in schema or _mapping(given, value, schema)
    ),
    "additionalProperties": lambda given, value, schema: (
        "properties" in schema or _mapping(given, value, schema)
    ),
    "items": _items,
    "propertyNames": _names,
    "required": _required,
    "format": _format,
    "pattern": _pattern,
    "anyOf": _any_of,
    "minLength": _sized(str, lambda size, bound: size >= bound),
    "maxLength": _sized(str, lambda size, bound: size <= bound),
    "minItems": _sized(list, lambda size, bound: size >= bound),
    "maxItems": _sized(list, lambda size, bound: size <= bound),
    "minProperties": _sized(dict, lambda size, bound: size >= bound),
    "maxProperties": _sized(dict, lambda size, bound: size <= bound),
    "minimum": _bound(lambda value, bound: value >= bound),
    "maximum": _bound(lambda value, bound: value <= bound),
    "exclusiveMinimum": _bound(lambda value, bound: value > bound),
    "exclusiveMaximum": _bound(lambda value, bound: value < bound),
}
