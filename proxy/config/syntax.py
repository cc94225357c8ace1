"""What the YAML parser refuses, in words that say what to do. The C parser brings no snippet."""

from __future__ import annotations

from collections.abc import Sequence

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
    ("did not find expected ',' or ']'", "a ',' or ']' is missing", None),
    ("did not find expected ',' or '}'", "a ',' or '}' is missing", None),
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
    ("unexpected end of stream", "a quote is opened and never closed", None),
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


def report_syntax(error: yaml.YAMLError, source: Source, report: Report) -> None:
    """Add one diagnostic for what ended the parsing."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable")
    if mark is None:
        report.error(Code.SYNTAX, f"this is not YAML: {problem}", Span(source, 0, 0, 0))
        return
    span = Span(source, mark.line + 1, mark.column + 1)
    if unquoted := _unquoted_reference(span):
        report.error(
            Code.UNQUOTED,
            "a '${…}' inside '{}' or '[]' must be quoted",
            unquoted,
            'quote it: "${…}"',
        )
    elif _text_at(span) == "\t":
        report.error(Code.SYNTAX, "a tab can't indent or separate here", span, "use spaces")
    else:
        report.error(Code.SYNTAX, *_worded(problem, span))


def _worded(problem: str, span: Span) -> tuple[str, Span, str | None]:
    for words, message, hint in _WORDS:
        if words in problem:
            return message, span, hint
    return f"this is not YAML: {problem}", span, None


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


def _text_at(span: Span) -> str:
    return _line(span)[span.column - 1 : span.column]


def _line(span: Span) -> str:
    lines = span.source.lines
    return lines[span.line - 1] if span.line <= len(lines) else ""
