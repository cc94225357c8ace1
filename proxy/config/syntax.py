"""What the YAML parser refuses, in words that say what to do. The C parser brings no snippet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import yaml

from proxy.config.codes import Code
from proxy.config.diagnostics import Report
from proxy.config.source import Source, Span

# libyaml's words, the first that is contained wins: what is said instead, and the remedy.
_WORDS: Sequence[tuple[str, str, str | None]] = (
    (
        "mapping values are not allowed",
        "a ':' can't stand here",
        "quote the text, or check the indentation",
    ),
    ("could not find expected ':'", "a ':' is missing after this key", None),
    (
        "did not find expected '-' indicator",
        "this does not fit in the list above",
        "check the indentation",
    ),
    (
        "did not find expected key",
        "this does not fit in the mapping above",
        "check the indentation",
    ),
    (
        "did not find expected <document start>",
        "this does not follow what stands above",
        "check the indentation",
    ),
    ("did not find expected node content", "a value is missing here", None),
    (
        "block sequence entries are not allowed",
        "a '- ' can't stand here",
        "begin the list on its own line",
    ),
    (
        "found unknown escape character",
        "unknown escape in a quoted text",
        "use single quotes for backslashes",
    ),
    ("exceeded maximum", "nested deeper than the parser goes", None),
    (
        "found character that cannot start any token",
        "a plain text can't begin with this character",
        "quote it",
    ),
)


_QUOTES = frozenset({'"', "'"})
_CLOSING: Mapping[str, str] = {"{": "}", "[": "]"}

# "orders:http://orders:8000" is one text for YAML: a key is followed by ": ".
_NO_SPACE = re.compile(r"[A-Za-z_][\w-]*:(?=[^\s:])(?!//)")
_SPACE = "write a space after ':'"


class _Told(NamedTuple):
    message: str
    span: Span
    hint: str | None = None
    code: Code = Code.SYNTAX


def lacks_space(text: str) -> str | None:
    """Return the remedy where a plain text looks like a key and its value grown together."""
    return _SPACE if _NO_SPACE.match(text) else None


def report_syntax(
    error: yaml.YAMLError, source: Source, report: Report, last: Span | None = None
) -> None:
    """Add one diagnostic for what ended the parsing; `last` is the last scalar before it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable")
    if mark is None:
        report.error(Code.SYNTAX, f"this is not YAML: {problem}", Span(source, 0, 0, 0))
        return
    span, opening = _at(mark, source), _at(getattr(error, "context_mark", None) or mark, source)
    told = (
        _unquoted(span)
        or _tab(span)
        or _unclosed_quote(problem, opening, span, last)
        or _grown_together(problem, opening, span, last)
        or _unclosed_bracket(problem, opening, span)
        or _stray_dash(problem, span)
        or _worded(problem, span)
    )
    report.error(told.code, told.message, told.span, told.hint)


def _at(mark: yaml.Mark, source: Source) -> Span:
    return Span(source, mark.line + 1, mark.column + 1)


def _unquoted(span: Span) -> _Told | None:
    found = _unquoted_reference(span)
    if found is None:
        return None
    message, hint = "a '${…}' inside '{}' or '[]' must be quoted", 'quote it: "${…}"'
    return _Told(message, found, hint, Code.UNQUOTED)


def _tab(span: Span) -> _Told | None:
    if _text_at(span) != "\t":
        return None
    return _Told("a tab can't indent or separate here", span, "use spaces")


def _unclosed_quote(problem: str, opening: Span, span: Span, last: Span | None) -> _Told | None:
    """Point at the quote that is never closed, or that a later one closes on the error's line."""
    if "unexpected end of stream" in problem and _text_at(opening) in _QUOTES:
        return _Told("a quote is opened here and never closed", opening)
    if last is None or _text_at(last) not in _QUOTES:
        return None
    end, column = span.source.ends.get((last.line, last.column), (0, 0))
    if end != span.line or column > span.column:
        return None
    hint = f"it ends at the next quote, on line {end}"
    return _Told("a quote is opened here and not closed on its line", last._replace(length=1), hint)


def _grown_together(problem: str, opening: Span, span: Span, last: Span | None) -> _Told | None:
    """Point at `word:value` directly before the error, which lacks a space."""
    if "expected ':'" in problem:
        text = _line(opening)[opening.column - 1 :]
    elif "mapping values are not allowed" in problem and last and last.line < span.line:
        opening, text = last, _line(last)[last.column - 1 :]
    else:
        return None
    found = text.split(" #")[0].rstrip()
    if not lacks_space(found):
        return None
    return _Told("a ':' has no space behind it", opening._replace(length=len(found)), _SPACE)


def _unclosed_bracket(problem: str, opening: Span, span: Span) -> _Told | None:
    sign = _text_at(opening)
    if "did not find expected ','" not in problem or sign not in _CLOSING:
        return None
    if opening.line != span.line and _indent(span) <= _indent(opening):
        message = f"a '{sign}' is opened here and not closed"
        return _Told(message, opening, f"'{_CLOSING[sign]}' is missing before line {span.line}")
    hint = f"the '{sign}' is in line {opening.line}, column {opening.column}"
    return _Told(f"a ',' or '{_CLOSING[sign]}' is missing", span, hint)


def _stray_dash(problem: str, span: Span) -> _Told | None:
    """A list's dash among the keys of a mapping."""
    line = _line(span)
    if "did not find expected key" not in problem or line[span.column - 1 :][:2] != "- ":
        return None
    return _Told("this does not fit in the mapping above", span, "remove the '-'")


def _worded(problem: str, span: Span) -> _Told:
    for words, message, hint in _WORDS:
        if words in problem:
            return _Told(message, span, hint)
    return _Told(f"this is not YAML: {problem}", span)


def _unquoted_reference(span: Span) -> Span | None:
    """Find the `${` before the place, or on it, that an enclosing `{` or `[` has cut in two."""
    line = _line(span)
    at = line.rfind("${", 0, span.column + 1)
    if at < 0 or not any(opening in line[:at] for opening in "{["):
        return None
    end = line.find("}", at)
    if line[at - 1] in "\"'" or 0 <= end < span.column - 2:
        return None
    return Span(span.source, span.line, at + 1, (end if end >= 0 else len(line)) + 1 - at)


def _indent(span: Span) -> int:
    line = _line(span)
    return len(line) - len(line.lstrip(" "))


def _text_at(span: Span) -> str:
    return _line(span)[span.column - 1 : span.column]


def _line(span: Span) -> str:
    lines = span.source.lines
    return lines[span.line - 1] if span.line <= len(lines) else ""
