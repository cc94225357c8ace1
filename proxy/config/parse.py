"""YAML to a tree with places, within bounds.

The C parser's events are taken one by one: no recursion, so nesting can be bounded; nothing is
built twice for an alias, so an alias bomb stays small; and nothing of YAML's types, tags or merge
keys happens unless it is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Environment
from typing import Any, NamedTuple

import yaml

from proxy.config.codes import Code
from proxy.config.diagnostics import Report
from proxy.config.environment import BadReference, Expanded, expand
from proxy.config.scalars import typed
from proxy.config.source import Source, Span
from proxy.config.syntax import report_syntax
from proxy.config.tree import Mapping, Node, Scalar, Sequence

MAX_DEPTH = 64
"""Nesting of a sane file is below 12."""

MAX_EXPANSION = 200_000
"""Nodes that aliases may stand for in one file: 10,000 services with a shared block of 20."""

_MERGE = "<<"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Stop(Exception):
    pass


def parse(source: Source, environment: Environment[str, str], report: Report) -> Node | None:
    """Return the tree of one document, None when it can't be built. All problems are reported."""
    builder = _Builder(source, environment, report)
    try:
        for event in yaml.parse(source.text, Loader=_LOADER):
            builder.take(event)
    except _Stop:
        return None
    except yaml.YAMLError as error:
        report_syntax(error, source, report, builder.last)
        return None
    return builder.root


def parse_as_far(source: Source, environment: Environment[str, str]) -> Node | None:
    """Return what can be built of a document that breaks off, for who looks for one value in it."""
    builder = _Builder(source, environment, Report())
    try:
        for event in yaml.parse(source.text, Loader=_LOADER):
            builder.take(event)
    except (_Stop, yaml.YAMLError):
        builder.break_off()
    return builder.root


class _Key(NamedTuple):
    name: str
    span: Span
    dropped: bool


class _Builder:
    """Keeps the open mappings and sequences on a stack of its own."""

    def __init__(self, source: Source, environment: Environment[str, str], report: Report) -> None:
        self.root: Node | None = None
        self._last: Any = None
        self._source = source
        self._environment = environment
        self._report = report
        self._open: list[Mapping | Sequence] = []
        self._key: list[_Key | None] = []
        self._anchors: dict[str, Node | None] = {}
        self._names: list[str | None] = []
        self._expanded = 0
        self._documents = 0

    @property
    def last(self) -> Span | None:
        """The last scalar, which a syntax error behind it may be about."""
        return self._span(self._last) if self._last is not None else None

    def take(self, event: Any) -> None:
        """Handle one event of the parser; those of the stream itself say nothing."""
        handle = _HANDLERS.get(type(event))
        if handle is not None:
            handle(self, event)

    def break_off(self) -> None:
        """Close all that is open; a key that waits for its value is dropped."""
        while self._open:
            self._end(None)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._fail(Code.SYNTAX, "a second document begins here; a file holds one", event)

    def _scalar(self, event: Any) -> None:
        self._refuse_tag(event)
        self._last = event
        if self._awaits_key:
            self._take_key(event)
            return
        node = self._value(event)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._add(node)

    @property
    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1], Mapping) and self._key[-1] is None

    def _take_key(self, event: Any) -> None:
        """Remember the key of the value that follows; one that is refused has its value dropped."""
        span, above = self._span(event), self._open[-1]
        assert isinstance(above, Mapping)
        key = self._expanded_key(event.value, span)
        if key == _MERGE:
            message = "merge keys are not allowed"
            self._report.error(Code.NOT_ALLOWED, message, span, "write the keys out")
        elif key in above.keys:
            hint = f"first on line {above.keys[key].line}"
            self._report.error(Code.DUPLICATE_KEY, f"key '{key}' is here twice", span, hint)
        self._key[-1] = _Key(key, span, dropped=key == _MERGE or key in above.keys)

    def _expanded_key(self, text: str, span: Span) -> str:
        if "${" not in text:
            return text
        expanded = self._expand(text, span)
        return expanded.value if expanded else text

    def _value(self, event: Any) -> Scalar:
        text, span = event.value, self._span(event)
        if "$" in text:
            return self._with_references(text, span, quoted=bool(event.style))
        return Scalar(text, text if event.style else self._typed(text, span), span)

    def _with_references(self, text: str, span: Span, *, quoted: bool) -> Scalar:
        expanded = self._expand(text, span)
        if expanded is None:
            return Scalar(text, text, span)
        typed_again = expanded.whole and not quoted
        value = self._typed(expanded.value, span) if typed_again else expanded.value
        return Scalar(text, value, span, expanded.template, expanded.value, expanded.empty)

    def _expand(self, text: str, span: Span) -> Expanded | None:
        try:
            return expand(text, self._environment)
        except BadReference as bad:
            self._report_reference(bad, text, span)
            self._report.spoil(span)
            return None

    def _report_reference(self, bad: BadReference, text: str, span: Span) -> None:
        if bad.unset:
            message = f"environment variable {bad.unset} is not set"
            hint = f"set it, or write ${{{bad.unset}:-default}}"
            self._report.error(Code.UNSET, message, _inside(span, text, bad), hint)
            return
        message = "this is no reference: ${NAME}, ${NAME:-default} or ${lower.path} is"
        hint = "a literal '${' is written '$${'"
        self._report.error(Code.REFERENCE, message, _inside(span, text, bad), hint)

    def _typed(self, text: str, span: Span) -> Any:
        try:
            return typed(text)
        except ValueError as error:
            self._report.error(Code.NUMBER, str(error), span)
            self._report.spoil(span)
            return text

    def _start_mapping(self, event: Any) -> None:
        self._start(Mapping(self._span(event)), event)

    def _start_sequence(self, event: Any) -> None:
        self._start(Sequence(self._span(event)), event)

    def _start(self, node: Mapping | Sequence, event: Any) -> None:
        self._refuse_tag(event)
        if self._awaits_key:
            self._fail(Code.NOT_ALLOWED, "a key must be text, not a mapping or a list", event)
        if len(self._open) >= MAX_DEPTH:
            self._fail(Code.TOO_MUCH, f"nested deeper than {MAX_DEPTH} levels", event)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._names.append(event.anchor)
        self._open.append(node)
        self._key.append(None)

    def _end(self, _event: Any) -> None:
        node, name = self._open.pop(), self._names.pop()
        self._key.pop()
        if name:
            self._anchors[name] = node
        self._add(node)

    def _alias(self, event: Any) -> None:
        if self._awaits_key:
            self._fail(Code.NOT_ALLOWED, "a key can't be an alias", event)
        if event.anchor not in self._anchors:
            self._fail(Code.SYNTAX, f"alias '*{event.anchor}' has no anchor above it", event)
        node = self._anchors[event.anchor]
        if node is None:
            self._fail(
                Code.NOT_ALLOWED, f"alias '*{event.anchor}' is inside of what it names", event
            )
            return
        self._expanded += node.weight
        if self._expanded > MAX_EXPANSION:
            self._fail(Code.TOO_MUCH, f"aliases stand for more than {MAX_EXPANSION} values", event)
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        above = self._open[-1]
        above.weight += node.weight
        if isinstance(above, Sequence):
            above.items.append(node)
            return
        key = self._key[-1]
        assert key is not None
        self._key[-1] = None
        if not key.dropped:
            above.items[key.name] = node
            above.keys[key.name] = key.span

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            message = "tags are not allowed: the schema gives each value its type"
            self._report.error(Code.NOT_ALLOWED, message, self._span(event))

    def _span(self, event: Any) -> Span:
        start, end = event.start_mark, event.end_mark
        line, column = start.line, start.column
        if end.line == line:
            return Span(self._source, line + 1, column + 1, end.column - column or 1)
        self._source.ends[line + 1, column + 1] = end.line + 1, end.column
        return Span(self._source, line + 1, column + 1)

    def _fail(self, code: Code, message: str, event: Any) -> None:
        self._report.error(code, message, self._span(event))
        raise _Stop


_HANDLERS: Environment[type, Callable[[_Builder, Any], None]] = {
    yaml.ScalarEvent: _Builder._scalar,  # noqa: SLF001  the builder's own table
    yaml.MappingStartEvent: _Builder._start_mapping,  # noqa: SLF001
    yaml.SequenceStartEvent: _Builder._start_sequence,  # noqa: SLF001
    yaml.MappingEndEvent: _Builder._end,  # noqa: SLF001
    yaml.SequenceEndEvent: _Builder._end,  # noqa: SLF001
    yaml.AliasEvent: _Builder._alias,  # noqa: SLF001
    yaml.DocumentStartEvent: _Builder._document,  # noqa: SLF001
}


def _inside(span: Span, text: str, bad: BadReference) -> Span:
    """Point at the reference itself where the text stands on its line as it was written."""
    line = span.source.lines[span.line - 1] if span.line <= len(span.source.lines) else ""
    at = line.find(text[bad.offset : bad.offset + bad.length], span.column - 1)
    return span if at < 0 else Span(span.source, span.line, at + 1, bad.length)
