"""Diagnostics as text with carets, as JSON, and as GitHub's annotations."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from proxy.config.diagnostics import Diagnostic, Severity, count
from proxy.config.masking import masked
from proxy.config.source import Span

MAX_LINE = 160
"""Longer lines are cut around the caret."""

_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GITHUB_ESCAPES = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))


def render_text(found: Sequence[Diagnostic], files: Sequence[str], services: int | None) -> str:
    """Return each diagnostic with its line and caret, then the count."""
    return "\n".join([*(_one(each) for each in found), summary(found, files, services)])


def summary(found: Sequence[Diagnostic], files: Sequence[str], services: int | None) -> str:
    """Return the closing line: `2 errors in routes.yaml (6 services)`, if they could be counted."""
    errors = sum(each.severity is Severity.ERROR for each in found)
    warnings = len(found) - errors
    told = [count(errors, "error")] * bool(errors) + [count(warnings, "warning")] * bool(warnings)
    counted = "" if services is None else f" ({count(services, 'service')})"
    return f"{', '.join(told) or 'no errors'} in {', '.join(files)}{counted}"


def render_json(found: Sequence[Diagnostic], files: Sequence[str], services: int | None) -> str:
    """Return one object, stable for scripts: `diagnostics`, `files`, `services` (null: unread)."""
    told = [
        {
            "code": each.code.value,
            "severity": each.severity.value,
            "message": each.message,
            "hint": each.hint,
            "file": each.span.source.name,
            "line": each.span.line,
            "column": each.span.column,
            "length": each.span.length,
        }
        for each in found
    ]
    return json.dumps({"diagnostics": told, "files": list(files), "services": services}, indent=2)


def render_github(found: Sequence[Diagnostic]) -> str:
    """Return a workflow command a line, which GitHub shows beside the change."""
    return "\n".join(_annotation(each) for each in found)


def _annotation(found: Diagnostic) -> str:
    span = found.span
    place = f"file={_escaped(span.source.name)},line={max(span.line, 1)},col={max(span.column, 1)}"
    text = f"{found.message}{f' ({found.hint})' if found.hint else ''}"
    return f"::{found.severity.value} {place},title={found.code.value}::{_escaped(text)}"


def _escaped(text: str) -> str:
    for written, escape in _GITHUB_ESCAPES:
        text = text.replace(written, escape)
    return text


def _one(found: Diagnostic) -> str:
    head = f"{found.severity.value}[{found.code.value}]: {_visible(found.message)}"
    span = found.span
    if not span.length or span.line > len(span.source.lines):
        hint = [f"   = {_visible(found.hint)}"] if found.hint else []
        return "\n".join([head, f"  --> {span}", *hint])
    margin = " " * len(str(span.line))
    text, before, length = _cut(*_shown(span))
    caret = f"{before}{'^' * length}{f' {_visible(found.hint)}' if found.hint else ''}"
    return "\n".join(
        [head, f"{margin}--> {span}", f"{margin} |", f"{span.line} | {text}", f"{margin} | {caret}"]
    )


def _shown(span: Span) -> tuple[str, int, int]:
    """Return the line of a place as it may be shown, the caret's column from 0 and its length."""
    hidden = span.source.hidden.get(span.line, ())
    return masked(span.source.lines[span.line - 1], hidden, span.column - 1, span.length)


def _cut(line: str, column: int, length: int) -> tuple[str, str, int]:
    """Return as much of the line as is shown, what stands before the caret, and its length."""
    start = max(0, column - MAX_LINE // 2) if len(line) > MAX_LINE else 0
    shown = _visible(line[start : start + MAX_LINE])
    at = min(column - start, len(shown))
    before = re.sub(r"[^\t]", " ", shown[:at])
    return shown, before, max(1, min(length, len(shown) - at))


def _visible(text: str) -> str:
    """Replace control characters: a file must not move a terminal's cursor."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
