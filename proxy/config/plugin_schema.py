"""Whether a plugin's class can be one, before its options are judged by its schema.

Importing jsonschema costs a start 0.1 s; so what the shipped plugins use is looked over here, and
only a schema with something else in it is given to jsonschema, which alone says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from proxy.config.diagnostics import nearest
from proxy.config.formats import KNOWN_FORMATS
from proxy.errors import ConfigError
from proxy.plugin.base import Authenticator, Plugin
from proxy.plugin.stages import Stage

_TYPES = frozenset({"object", "array", "string", "boolean", "null", "integer", "number"})


_GUARDING = frozenset({Stage.GUARD, Stage.AUTHORIZE, Stage.HOOK, Stage.CREDENTIALS})


def checked(name: str, plugin: type[Plugin]) -> type[Plugin]:
    """Return `plugin`.

    Raises ConfigError when its schema is no JSON Schema (draft-07) or has a format that converts
    nothing, and when it stands in a stage that guards and lets everything pass.
    """
    if not _surely_schema(plugin.schema):
        _ask(name, plugin.schema)
    for unknown in _formats(plugin.schema) - KNOWN_FORMATS:
        hint = nearest(unknown, KNOWN_FORMATS) or "say by 'pattern' what the text must look like"
        raise ConfigError(
            f"plugin '{name}': its schema has an unknown format '{unknown}'", hint=hint
        )
    passes = plugin.__call__ is Plugin.__call__ and not issubclass(plugin, Authenticator)
    if passes and plugin.stage in _GUARDING:
        raise ConfigError(
            f"plugin '{name}' has no __call__: in stage {plugin.stage.name} it lets everyone pass",
            hint="define 'async def __call__(self, request, handler)'",
        )
    return plugin


def _formats(schema: Any) -> set[str]:
    """Return all formats that stand in a schema, at any depth."""
    if isinstance(schema, list | tuple):
        return set().union(*map(_formats, schema))
    if not isinstance(schema, Mapping):
        return set()
    named = schema.get("format")
    found = {named} if isinstance(named, str) else set()
    below = [schema[key] for key in _SCHEMAS if key in schema]
    below += [each for key in _NAMED if key in schema for each in schema[key].values()]
    return found.union(*map(_formats, below))


_SCHEMAS = ("items", "additionalProperties", "propertyNames", "oneOf", "anyOf", "allOf", "not")
_NAMED = ("properties", "patternProperties", "definitions")


def _ask(name: str, schema: Any) -> None:
    from jsonschema import Draft7Validator, SchemaError

    if not isinstance(schema, Mapping):
        raise ConfigError(f"plugin '{name}': its schema is no mapping")
    try:
        Draft7Validator.check_schema(schema)
    except SchemaError as error:
        at = ".".join(map(str, error.absolute_path))
        where = f"its schema is not valid at '{at}'" if at else "its schema is not valid"
        raise ConfigError(f"plugin '{name}': {where}: {error.message}") from None


def _surely_schema(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    for keyword, given in schema.items():
        if keyword.startswith("x-") or keyword in _ANYTHING:
            continue
        check = _KEYWORDS.get(keyword)
        if check is None or not check(given):
            return False
    return True


def _type(given: Any) -> bool:
    if isinstance(given, list):
        return bool(given) and all(_is(str)(name) and name in _TYPES for name in given)
    return isinstance(given, str) and given in _TYPES


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda given: isinstance(given, kind)


def _several(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(map(_surely_schema, given))


def _named(given: Any) -> bool:
    return isinstance(given, dict) and all(map(_surely_schema, given.values()))


def _below(given: Any) -> bool:
    return isinstance(given, bool) or _surely_schema(given)


def _count(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 0


def _number(given: Any) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def _pattern(given: Any) -> bool:
    try:
        re.compile(given)
    except (TypeError, re.error):
        return False
    return isinstance(given, str)


def _words(given: Any) -> bool:
    return isinstance(given, list) and all(map(_is(str), given)) and len({*given}) == len(given)


_ANYTHING = frozenset({"default", "const"})
_KEYWORDS: Mapping[str, Callable[[Any], bool]] = {
    "type": _type,
    "properties": _named,
    "additionalProperties": _below,
    "propertyNames": _below,
    "items": _below,
    "oneOf": _several,
    "anyOf": _several,
    "required": _words,
    "enum": lambda given: isinstance(given, list) and bool(given) and _different(given),
    "pattern": _pattern,
    "writeOnly": _is(bool),
    **dict.fromkeys(("title", "description", "format"), _is(str)),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _count),
    **dict.fromkeys(("minProperties", "maxProperties"), _count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
}


def _different(given: list[Any]) -> bool:
    plain = all(type(each) in (str, int) for each in given)
    return plain and len({*given}) == len(given)
