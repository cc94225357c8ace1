"""The options of plugins, made of their schemas: docs/plugins.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from proxy.config.plugin_schema import checked

if TYPE_CHECKING:
    from proxy.plugin.catalog import Catalog

Schema = Mapping[str, Any]

_HEAD = """# The plugins that come with the gateway

Made of the options' schemas by `brain plugin options`; a test compares. `brain plugin options NAME`
prints those of one plugin, also of your own. `a.b` is the key `b` of the mapping, or of each item of the
list, `a`; NAME in it is a name of your choice.
"""
_COLUMNS = "| option | default | what it does |\n|---|---|---|"


def page(catalog: Catalog) -> str:
    """Return the page as Markdown: the shipped plugins by the alphabet."""
    shipped = [name for name in catalog if catalog.origin(name).where == "brain-gateway"]
    return "\n".join([_HEAD, *(of_plugin(catalog, name) for name in shipped)])


def of_plugin(catalog: Catalog, name: str) -> str:
    """Return the part of one plugin. Raises ConfigError where it can't be used."""
    found = checked(name, catalog.get(name))
    lines = [f"## {name}", "", f"Stage: {found.stage.name.lower()}."]
    if "description" in found.schema:
        lines[-1] += f" {_escaped(found.schema['description'])}"
    rows = list(_rows(found.schema, (), found.schema.get("properties", {})))
    if rows:
        lines += ["", _COLUMNS, *dict.fromkeys(rows)]
    return "\n".join([*lines, ""])


def _rows(schema: Schema, path: tuple[str, ...], top: Mapping[str, Any]) -> Iterator[str]:
    needed = schema.get("required", ())
    for name, below in schema.get("properties", {}).items():
        if path and below is top.get(name):
            continue  # as in an issuer of a list: it stands above
        yield _row((*path, name), below, needed=name in needed)
        yield from _rows_below(below, (*path, name), top)
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        yield _row((*path, "NAME"), more, needed=False)
        yield from _rows_below(more, (*path, "NAME"), top)


def _rows_below(schema: Schema, path: tuple[str, ...], top: Mapping[str, Any]) -> Iterator[str]:
    for one in _alternatives(schema):
        if schema.get("format") != "secret":
            yield from _rows(one, path, top)
        if isinstance(one.get("items"), Mapping):
            yield from _rows_below(one["items"], path, top)


def _alternatives(schema: Schema) -> Iterable[Schema]:
    yield schema
    for key in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(key, ()):
            yield from _alternatives(one)


def _row(path: tuple[str, ...], schema: Schema, *, needed: bool) -> str:
    told = " ".join(str(schema.get("description", "")).split())
    if "enum" in schema:
        told += f" One of {', '.join(f'`{value}`' for value in schema['enum'])}."
    default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
    cells = [f"`{'.'.join(path)}`", "must be there" if needed else default, told]
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """Keep a bar from ending a cell, and `<` from beginning a tag."""
    return text.replace("|", "\\|").replace("<", "\\<")
