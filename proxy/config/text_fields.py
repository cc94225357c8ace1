"""A mapping of names to texts, which is all that a file of secrets may be.

Nothing of the language is in it: no `${NAME}`, no types, no aliases. A value is the text that stands
there, so that `0123` and `on` are passwords like any other. No error repeats what it found.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_AROUND = (
    yaml.StreamStartEvent,
    yaml.DocumentStartEvent,
    yaml.DocumentEndEvent,
    yaml.StreamEndEvent,
)

_NOTHING = frozenset({"~", "null"})

Fields = dict[str, str]


def fields_of_yaml(text: str) -> Fields:
    """Return the fields of a YAML mapping. Raises ValueError, which names the line."""
    fields: Fields = {}
    name: str | None = None
    inside: bool | None = None
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.MappingStartEvent) and inside is None:
                inside = True
            elif isinstance(event, yaml.MappingEndEvent):
                inside = False
            elif inside and _is_text(event):
                name = _taken(fields, name, event)
            elif not isinstance(event, _AROUND):
                _refuse(_line(event))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError("not YAML" + (f" (line {mark.line + 1})" if mark else "")) from None
    return fields


def _is_text(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.tag is None and event.anchor is None


def _taken(fields: Fields, name: str | None, event: Any) -> str | None:
    """Take a key, and return it, or the value of the last one, and return None."""
    text: str = event.value
    if name is None:
        if text in fields:
            raise ValueError(f"a field is there twice (line {_line(event)})")
        return text
    if not text or (not event.style and text.lower() in _NOTHING):
        raise ValueError(f"a field has no value (line {_line(event)})")
    fields[name] = text
    return None


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


def _refuse(line: int) -> NoReturn:
    raise ValueError(f"expected a mapping of names to texts and nothing else (line {line})")


def fields_of_json(text: str) -> Fields:
    """Return the fields of a JSON object. Raises ValueError."""
    try:
        found = json.loads(text, object_pairs_hook=_pairs)
    except (json.JSONDecodeError, RecursionError) as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"not JSON{line}") from None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ValueError("expected an object of names and texts and nothing else")
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    if "" in found.values():
        raise ValueError("a field has no value")
    if not all(_is_unicode(each) for each in found.values() if isinstance(each, str)):
        raise ValueError("a field is no Unicode")
    return found


def _is_unicode(text: str) -> bool:
    """Say whether a text has bytes: `\\ud800` alone is a text for JSON, and none on any wire."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
