"""The language's JSON Schema, read once, and what it says of one place in a tree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from proxy.config.published import as_loaded
from proxy.config.tree import Path as TreePath

Schema = Mapping[str, Any]
PluginSchema = Callable[[str, bool], Schema | None]
"""From a plugin's name, or `module:attr` when the second argument is True, to its schema."""

ENTRY_KEYS = frozenset({"as", "use", "with"})
"""Keys of a chain's entry that are not a plugin's name."""

_REPOSITORY = Path(__file__).parents[2] / "schemas"
_INSTALLED = Path(__file__).parents[1] / "data" / "schemas"


def read_schema(name: str) -> Any:
    """Return a file of `schemas/`, from the installed package or from the checkout."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _REPOSITORY
    return json.loads((folder / name).read_text(encoding="utf-8"))


@cache
def language() -> Schema:
    """Return routes.schema.json with every `$ref` replaced by what it names; it has no cycles.

    It speaks of values behind their references: see `published`.
    """
    written = as_loaded(read_schema("routes.schema.json"))
    resolved: Schema = _inline(written, written["definitions"], {})
    return {key: value for key, value in resolved.items() if key != "definitions"}


def _inline(part: Any, definitions: Mapping[str, Any], done: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inline(item, definitions, done) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        if name not in done:
            done[name] = _inline(definitions[name], definitions, done)
        return done[name]
    return {
        key: _inline(item, definitions, done) for key, item in part.items() if key != "definitions"
    }


def schemas_at(
    schema: Schema | None, path: TreePath, plugin: PluginSchema, data: Any
) -> Iterator[Schema]:
    """Yield every schema that speaks of the value at `path` of `data`; alternatives give several."""
    if not isinstance(schema, dict):
        return  # a plugin's `true` says nothing of what may be there
    if alternatives := schema.get("oneOf", schema.get("anyOf")):
        for alternative in alternatives:
            yield from schemas_at(alternative, path, plugin, data)
    if not path:
        yield schema
        return
    yield from schemas_at(_step(schema, path[0], plugin, data), path[1:], plugin, data[path[0]])


def _step(schema: Schema, step: str | int, plugin: PluginSchema, data: Any) -> Any:
    if isinstance(step, int):
        return schema.get("items")
    if schema.get("format") == "chain-entry":
        if step not in ENTRY_KEYS:
            return plugin(step, False)
        use = data.get("use")
        if step == "with" and isinstance(use, str):
            return plugin(use, True)
    known: Schema = schema.get("properties", {})
    return known.get(step, schema.get("additionalProperties"))
