"""The values that plugins call credentials, by `writeOnly: true` in their schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.config.hiding import is_private
from proxy.config.models import Config
from proxy.plugin.catalog import Catalog
from proxy.plugin.references import is_reference

Schema = Mapping[str, Any]


def private_values(config: Config, catalog: Catalog) -> frozenset[str]:
    """Return the texts that stand in the options of plugins where a schema says `writeOnly`."""
    return frozenset(
        text
        for entry in config.entries
        for text in _private(catalog.named(entry.plugin, entry.use).schema, entry.options)
    )


def _private(schema: object, given: Any) -> Iterator[str]:
    if not isinstance(schema, dict) or is_reference(given):
        return
    if is_private(schema):
        yield from _texts(given)
    for key in ("oneOf", "anyOf", "allOf"):
        for each in schema.get(key, ()):
            yield from _private(each, given)
    if isinstance(given, Mapping):
        known = schema.get("properties", {})
        for name, below in given.items():
            yield from _private(known.get(name, schema.get("additionalProperties")), below)
    elif isinstance(given, list | tuple):
        for below in given:
            yield from _private(schema.get("items"), below)


def _texts(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, Mapping | list | tuple):
        for below in given.values() if isinstance(given, Mapping) else given:
            yield from _texts(below)
