"""Diagnostics on their way from whoever found them to the log, where each is one record."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from proxy.errors import ConfigError
from proxy.log_lines import BELOW

if TYPE_CHECKING:
    from proxy.config.diagnostics import Diagnostic


class Told(NamedTuple):
    """A diagnostic in plain values; `excerpt` are the lines below the message: place and caret."""

    severity: str
    code: str
    file: str
    line: int
    column: int
    message: str
    hint: str | None
    excerpt: str

    @property
    def text(self) -> str:
        """The diagnostic as `brain check` writes it."""
        return f"{self.severity}[{self.code}]: {self.message}\n{self.excerpt}"


class Refused(ConfigError):
    """What can't be served: what is wrong with it, how much that is, and which files were read."""

    def __init__(
        self,
        message: str,
        found: list[Told],
        *,
        summary: str,
        files: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        self.told = found
        self.summary = summary
        self.files = files
        super().__init__(message, hint=hint)


def told(found: Iterable[Diagnostic]) -> list[Told]:
    """Return diagnostics as values that can be sent and logged."""
    return [
        Told(
            each.severity.value,
            each.code.value,
            each.span.source.name,
            each.span.line,
            each.span.column,
            each.message,
            each.hint,
            _excerpt(each),
        )
        for each in found
    ]


def _excerpt(found: Diagnostic) -> str:
    from proxy.config.render import render_text  # only for those who have something to tell

    # Above it stands the message, below it the count.
    return "\n".join(render_text((found,), (), None).split("\n")[1:-1])


def log_told(log: logging.Logger, found: Iterable[Told]) -> None:
    """Log each diagnostic as one record, with the fields that `brain check --json` has."""
    for each in found:
        level = logging.ERROR if each.severity == "error" else logging.WARNING
        fields = {
            "code": each.code,
            "file": each.file,
            "line": each.line,
            "column": each.column,
            "hint": each.hint,
            BELOW: each.excerpt,
        }
        log.log(level, "%s", each.message, extra=fields)
