"""What is wrong with a file, where, and what to do about it. All of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from proxy.config.codes import Code
from proxy.config.masking import without_credentials
from proxy.config.source import Span


class Severity(StrEnum):
    """An error refuses the file; a warning is legal and unwise."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake. `hint` stands beside the caret: a suggestion, or a remedy in a few words."""

    code: Code
    severity: Severity
    message: str
    span: Span
    hint: str | None = None


class Report:
    """Collects diagnostics while files are read and compiled. Each is kept once."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}
        self._spoiled: set[Span] = set()

    def error(self, code: Code, message: str, span: Span, hint: str | None = None) -> None:
        """Add what refuses the file; nothing more about a spoiled value, unless it is no YAML."""
        if span in self._spoiled and code is not Code.SYNTAX:
            return
        self._add(Diagnostic(code, Severity.ERROR, message, span, hint))

    def warn(self, code: Code, message: str, span: Span, hint: str | None = None) -> None:
        """Add what is legal and unwise."""
        self._add(Diagnostic(code, Severity.WARNING, message, span, hint))

    def _add(self, found: Diagnostic) -> None:
        """Keep it, without a credential that its words repeat."""
        hint = found.hint and without_credentials(found.hint)
        told = replace(found, message=without_credentials(found.message), hint=hint)
        self._found[told] = None

    def spoil(self, span: Span) -> None:
        """Say that the value at `span` could not be read, which has been reported."""
        self._spoiled.add(span)

    def __iter__(self) -> Iterator[Diagnostic]:
        """Yield in the order of the files, then of lines; what has one place stays as found."""
        return iter(sorted(self._found, key=lambda found: found.span.order))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def failed(self) -> bool:
        """Whether there is an error among them."""
        return any(found.severity is Severity.ERROR for found in self._found)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return "did you mean 'x'?" for the known word nearest to `word`, None when none is near."""
    found = nearest_word(word, known)
    return found and f"did you mean '{found}'?"


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to `word`, None when none is near."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower()[:64], by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def count(number: int, noun: str) -> str:
    """Return `1 error`, `2 errors`, `2 entries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun == "entry" else f"{number} {noun}s"


def listed(words: Iterable[str], last: str = "or") -> str:
    """Return `a`, `a or b`, `a, b or c`."""
    *most, final = list(words)
    return f"{', '.join(most)} {last} {final}" if most else final
