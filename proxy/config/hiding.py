"""Which places of a file hold a credential, so that no diagnostic shows them.

An option says so by `writeOnly: true` in its schema, and by its name: a key is easily written where
its digest belongs. Nothing is known of the options of a plugin that is not: all are hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from proxy.config.schema import ENTRY_KEYS, PluginSchema, Schema
from proxy.config.source import Source, Span
from proxy.config.telling import is_telling_name
from proxy.config.tree import Mapping, Node, Scalar
from proxy.config.tree import Sequence as Items
from proxy.plugin.options import types_of
from proxy.plugin.references import FIELD_KEY, SECRET_KEY

_REFERENCE = re.compile(r"[\"']?\$\{[A-Z_][A-Z0-9_]*\}[\"']?")
_NOT_SECRET = frozenset({"", "true", "false", "null", "~"})
_PAIR = re.compile(r"(?:^|[\s,{\"'-])([\w.-]+)[\"']?\s*:(?=[\s\"']|$)[ \t]*")
_VALUE = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:''|[^'])*'|[^,}\]#]+")
_IS_FIELD = re.compile(rf"(?:^|[\s,{{\"'-]){FIELD_KEY}[\"']?\s*:")
_IN_PATH = re.compile(r"\$\{[a-z][\w.-]*\}")
_PATH = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)+")
"""A path of a store as they mostly are: what has capitals, or is one word, may be the credential."""
_OPENS = re.compile(r"(?:[|>][-+0-9]*)?\s*(?:#.*)?")


def is_private(schema: Schema) -> bool:
    """Say whether a schema calls a value, or the items of a list, a credential."""
    items = schema.get("items")
    return schema.get("writeOnly") is True or (
        isinstance(items, dict) and items.get("writeOnly") is True
    )


def hide(root: Node, schema: Schema, plugin: PluginSchema) -> None:
    """Hide what a tree holds of credentials, in its sources."""
    found = _Tree(plugin)
    found.walk(root, [schema])
    for span in found.paths:
        _show_span(span)
    for span in found.hidden:
        _hide_span(span)


def hide_by_name(source: Source, *, readable: bool) -> None:
    """Hide what stands behind a telling name: also what is no part of the tree.

    In a text that can't be read, nobody knows where a value ends: the line does.
    """
    below: int | None = None
    for number, line in enumerate(source.lines, 1):
        indent = len(line) - len(line.lstrip(" "))
        if below is not None and line.strip():
            if indent > below:
                _add(source, number, indent, len(line))
                continue
            below = None
        beside = source.lines[max(0, number - 2) : number + 1] if readable else (line,)
        reference = any(_IS_FIELD.search(each) for each in beside)
        for start, end in _behind_names(line, readable=readable, reference=reference):
            _add(source, number, start, end)
        if below is None and not readable:
            below = _opened(line, indent)


def _behind_names(line: str, *, readable: bool, reference: bool) -> Iterator[tuple[int, int]]:
    for found in _PAIR.finditer(line):
        if not is_telling_name(found[1]):
            continue
        if found[1] == SECRET_KEY and reference:
            continue
        value = _VALUE.match(line, found.end())
        if value is not None and _is_secret(value[0].strip()):
            yield value.start(), value.start() + len(value[0].rstrip()) if readable else len(line)


def _opened(line: str, indent: int) -> int | None:
    """Return the indentation of a telling key whose value begins on the next line.

    Behind a dash stands a plugin's name, such as api-key, rather than an option's.
    """
    if line.startswith("- ", indent):
        return None
    for found in _PAIR.finditer(line):
        if is_telling_name(found[1]) and _OPENS.fullmatch(line, found.end()):
            return indent
    return None


def _is_secret(text: str) -> bool:
    return (
        text[:1] not in {"{", "[", "&", "*"}
        and text.lower() not in _NOT_SECRET
        and not _REFERENCE.fullmatch(text)
    )


def _is_path(node: Scalar) -> bool:
    """Say whether a value is where a credential is kept, and not likely the credential."""
    return isinstance(node.value, str) and bool(_PATH.fullmatch(_IN_PATH.sub("x", node.value)))


def _add(source: Source, line: int, start: int, end: int) -> None:
    source.hidden.setdefault(line, []).append((start, end))


def _show_span(span: Span) -> None:
    """Show a value on one line, which was taken for a credential by the name before it."""
    line, start = span.source.hidden.get(span.line, []), span.column - 1
    line[:] = [each for each in line if not start <= each[0] < start + span.length]


def _hide_span(span: Span) -> None:
    """Hide a value, all its lines."""
    source, line, start = span.source, span.line, span.column - 1
    last, end = source.ends.get((line, span.column), (line, start + span.length))
    for number in range(line, min(last, len(source.lines)) + 1):
        until = end if number == last else len(source.lines[number - 1])
        _add(source, number, start if number == line else 0, until)


class _Tree:
    def __init__(self, plugin: PluginSchema) -> None:
        self._plugin = plugin
        self.hidden: list[Span] = []
        self.paths: list[Span] = []
        self._with_private: dict[int, bool] = {}
        """By the id of a schema, whether one of its keys is a credential: it outlives this."""

    def walk(self, node: Node, schemas: Sequence[Schema], *, hidden: bool = False) -> None:
        """Find what is to be hidden of a node; `hidden` says that all of it is a credential."""
        every = [each for schema in schemas for each in _alternatives(schema)]
        hidden = hidden or any(is_private(each) for each in every)
        if any(each.get("format") == SECRET_KEY for each in every):
            # A reference may be read; anything else there is a credential instead of its place.
            hidden = not (
                isinstance(node, Mapping) and {SECRET_KEY, FIELD_KEY} <= node.items.keys()
            )
        if isinstance(node, Scalar):
            if any(each.get("format") == "secret-path" for each in every) and _is_path(node):
                self.paths.append(node.span)
            elif hidden and isinstance(node.value, (str, int, float)) and _is_secret(node.text):
                self.hidden.append(node.span)
        elif isinstance(node, Items):
            below = [each["items"] for each in every if isinstance(each.get("items"), dict)]
            for item in node.items:
                self.walk(item, below, hidden=hidden)
        else:
            self._mapping(node, every, hidden=hidden)

    def _mapping(self, node: Mapping, schemas: Sequence[Schema], *, hidden: bool) -> None:
        private = any(self._has_private(schema) for schema in schemas)
        for key, below in node.items.items():
            found, unknown = self._step(node, schemas, key)
            telling = not isinstance(below, Mapping) and _is_telling(node, key, found)
            # Beside a credential, an unknown key is likely its name misspelt.
            self.walk(below, found, hidden=hidden or unknown or telling or (private and not found))

    def _has_private(self, schema: Schema) -> bool:
        known = self._with_private.get(id(schema))
        if known is None:
            known = any(
                is_private(each) or (is_telling_name(key) and _may_be_text(each))
                for key, below in schema.get("properties", {}).items()
                for each in _alternatives(below)
            )
            self._with_private[id(schema)] = known
        return known

    def _step(
        self, node: Mapping, schemas: Sequence[Schema], key: str
    ) -> tuple[list[Schema], bool]:
        """Return what is known of a key, and whether it holds options of which nothing is."""
        if any(schema.get("format") == "chain-entry" for schema in schemas):
            use = node.items.get("use")
            if key not in ENTRY_KEYS:
                return _options(self._plugin(key, False))
            if key == "with" and isinstance(use, Scalar):
                return _options(self._plugin(str(use.value), True))
        steps = (
            schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            for schema in schemas
        )
        return [step for step in steps if isinstance(step, dict)], False


def _options(schema: Schema | None) -> tuple[list[Schema], bool]:
    return ([schema], False) if schema else ([], True)


def _alternatives(schema: object) -> Iterator[Schema]:
    if isinstance(schema, dict):
        yield schema
        for key in ("oneOf", "anyOf", "allOf"):
            for each in schema.get(key, ()):
                yield from _alternatives(each)


def _is_telling(node: Mapping, key: str, schemas: Iterable[Schema]) -> bool:
    if not is_telling_name(key) or (key == SECRET_KEY and FIELD_KEY in node.items):
        return False
    return all("enum" not in each and _may_be_text(each) for each in schemas)


def _may_be_text(schema: Schema) -> bool:
    types = types_of(schema)
    return not types or bool({"string", "array"} & set(types))
