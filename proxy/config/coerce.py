"""What came from the environment, in the type that the schema asks for there.

`workers: ${N:-1}` is a number, a token of digits stays a text, a list may come as one
comma-separated text, and `${lower.path}` stays only where the schema says `format: template`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.config.codes import Code
from proxy.config.diagnostics import Report
from proxy.config.scalars import typed
from proxy.config.schema import PluginSchema, Schema, schemas_at
from proxy.config.tree import Node, Path, Scalar, references
from proxy.config.wording import subject
from proxy.plugin.options import TEMPLATE_FORMATS, is_type, types_of


def coerce(schema: Schema, root: Node, data: Any, plugin: PluginSchema, report: Report) -> None:
    """Replace, in `data`, the values of all scalars of `root` that refer to something."""
    for path, scalar in references(root):
        if path and not str(path[0]).startswith("x-"):
            found = list(schemas_at(schema, path, plugin, data))
            _put(data, path, _coerced(found, path, scalar, report))


def _coerced(schemas: Sequence[Schema], path: Path, scalar: Scalar, report: Report) -> Any:
    template = scalar.template or ""
    if any(schema.get("format") in TEMPLATE_FORMATS for schema in schemas):
        return template
    if "${" in template.replace("$${", ""):
        message = f"{subject(path)}: a value of the request can't stand here"
        hint = "environment names are in capitals; a literal '${' is '$${'"
        report.error(Code.TEMPLATE, message, scalar.span, hint)
        report.spoil(scalar.span)
    return _fitted(schemas, scalar)


def _fitted(schemas: Sequence[Schema], scalar: Scalar) -> Any:
    """Return the reading of the text that a schema takes; else its plain reading, to be refused."""
    for value in (scalar.value, _typed(scalar.expanded), scalar.expanded):
        if any(_fits(schema, value) for schema in schemas):
            return value
    if any("array" in types_of(schema) for schema in schemas):
        return [part.strip() for part in scalar.expanded.split(",") if part.strip()]
    return scalar.value


def _fits(schema: Schema, value: Any) -> bool:
    if "enum" in schema:
        return any(value == known and type(value) is type(known) for known in schema["enum"])
    types = types_of(schema)
    return not types or any(is_type(value, name) for name in types)


def _typed(text: str) -> Any:
    try:
        return typed(text)
    except ValueError:
        return text


def _put(data: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        data = data[step]
    data[path[-1]] = value
