"""A file that holds what an option could: written by others, and read again while it serves."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from proxy.config.codes import Code
from proxy.config.diagnostics import Report, Severity
from proxy.config.source import Source, Span
from proxy.config.tree import Node, plain, span_of
from proxy.config.tree import Path as TreePath
from proxy.errors import ConfigError
from proxy.plugin.base import Problems
from proxy.plugin.options import convert
from proxy.ports.secrets import SecretError
from proxy.secrets.reading import read_private

MOST = 1024 * 1024
"""Bytes: a list of some thousand entries."""

Check = Callable[[Any, Problems], None]


class OptionFile:
    """A YAML or JSON file, which holds what `schema` describes: a list of keys, of addresses.

    `check` reports what a schema can't say, as `Plugin.check` does. The file is at most 1 MiB; who
    is neither its owner nor of its group may not read it, and nobody else may write it. Values of
    the environment are not put in.
    """

    def __init__(self, path: str, schema: Mapping[str, Any], check: Check | None = None) -> None:
        """`path` is relative to the working directory."""
        self.path = path
        self._schema = schema
        self._check = check
        self._text: str | None = None
        self._refused: ConfigError | None = None

    def __repr__(self) -> str:
        return f"<OptionFile {self.path}>"

    def read(self) -> Any:
        """Return what the file holds, defaults and formats applied; None where it has not changed.

        Raises ConfigError with file and line, each time until it is mended; what stands there is not
        repeated. It blocks: call it in a thread, as `await asyncio.to_thread(file.read)`.
        """
        try:
            text = read_private(
                Path(self.path), os.path.realpath(self.path), group_read=True, most=MOST
            )
        except SecretError as error:
            raise self._unread(str(error), error.hint) from None
        except OSError as error:
            raise self._unread(f"{self.path}: {error.strerror}") from None
        if text != self._text:
            self._text, self._refused = text, None
            try:
                return self._parsed(text)
            except ConfigError as error:
                self._refused = error
        if self._refused is not None:
            raise ConfigError(str(self._refused), hint=self._refused.hint)
        return None

    def _unread(self, message: str, hint: str | None = None) -> ConfigError:
        self._text = None  # read anew what comes back, though it be the same
        return ConfigError(message, hint=hint)

    def _parsed(self, text: str) -> Any:
        # YAML, which nobody needs who only asks for a schema.
        from proxy.config.parse import parse
        from proxy.config.violations import violations

        source, report = Source(self.path, text.removeprefix("\ufeff")), Report()
        root = parse(source, {}, report)
        if root is None and not report.failed:
            report.error(Code.EMPTY, "the file is empty", Span(source, 0, 0, 0))
        if root is None or report.failed:
            raise _refusal(report)
        given = plain(root)
        found = violations(self._schema, given, root, (), report)
        value = None if found.any else convert(self._schema, given)
        if self._check is not None and not found.any:
            self._check(value, _Problems(report, root))
        if report.failed:
            raise _refusal(report)
        return value


class _Problems:
    """Takes what a check finds to the lines of the file."""

    def __init__(self, report: Report, root: Node) -> None:
        self._report = report
        self._root = root

    def add(self, option: str, message: str, *, hint: str | None = None) -> None:
        self._report.error(Code.PLUGIN_REFUSES, message, self._span(option), hint)

    def warn(self, option: str, message: str, *, hint: str | None = None) -> None:
        self._report.warn(Code.PLUGIN_WARNS, message, self._span(option), hint)

    def _span(self, option: str) -> Span:
        steps: TreePath = tuple(
            int(step) if step.isdecimal() else step for step in option.split(".") if step
        )
        return span_of(self._root, steps)


def _refusal(report: Report) -> ConfigError:
    """Return the first mistake, and how many there are."""
    errors = [found for found in report if found.severity is Severity.ERROR]
    first, more = errors[0], len(errors) - 1
    rest = f" (and {more} more)" if more else ""
    return ConfigError(f"{first.span}: {first.message}{rest}", hint=first.hint)
