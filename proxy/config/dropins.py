"""The folder of `plugins_dir`: which of its files are plugins, and what is wrong with any of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from proxy.config.codes import Code
from proxy.config.source import Source, Span
from proxy.config.work import Work
from proxy.plugin.dropins import DropIn, DropInError

MOST_BYTES = 1024 * 1024
"""Of one file: a plugin is a page or two, so what is larger is something else."""

_NAME = re.compile(r"_?[a-z][a-z0-9_]*")
_NO_PLUGINS = ("test_", "conftest", ".")
"""How tests begin, and what editors and file systems leave beside a file."""


def read_dropins(work: Work) -> None:
    """Read all plugins of the folder and make them known, before any entry is looked at.

    Each is loaded, named by an entry or not: a broken one is an error at its own line.
    """
    given = work.data.get("plugins_dir")
    if not isinstance(given, str):
        return
    work.plugins_folder = work.relative(("plugins_dir",), given)
    try:
        paths = sorted(Path(work.plugins_folder).iterdir())
    except (OSError, ValueError):
        message = f"'{given}' is no folder that can be read"
        work.report.error(Code.FILES, message, work.value("plugins_dir"), "make it, or correct it")
        return
    work.dropins = tuple(dropin for path in paths if (dropin := _read(work, path)) is not None)
    work.registry.add(work.dropins)
    for message, where, hint in _failures(work):
        work.report.error(Code.PLUGIN_REFUSES, message, where, hint)


def _read(work: Work, path: Path) -> DropIn | None:
    """Return one file of the folder, None for what is no plugin: tests, folders, other files."""
    if path.suffix != ".py" or path.name.startswith(_NO_PLUGINS) or path.is_dir():
        return None
    if not _NAME.fullmatch(path.stem):
        message = f"'{path.name}' can't be the name of a plugin's file"
        hint = "begin with a small letter, and use small letters, digits and underscores"
        work.report.error(Code.FILES, message, work.value("plugins_dir"), hint)
        return None
    if not path.is_file():  # a FIFO would wait for a writer
        message = f"'{path.name}' is no regular file"
        work.report.error(Code.FILES, message, work.value("plugins_dir"), "take it away")
        return None
    try:
        with path.open("rb") as file:
            source = file.read(MOST_BYTES + 1)
    except OSError as error:
        message = f"'{path.name}' can't be read: {error.strerror}"
        work.report.error(Code.FILES, message, work.value("plugins_dir"))
        return None
    if len(source) > MOST_BYTES:
        message = f"'{path.name}' holds more than {MOST_BYTES // 1024**2} MiB"
        work.report.error(Code.TOO_MUCH, message, work.value("plugins_dir"))
        return None
    work.read_files[str(path)] = source
    return DropIn(path.stem, str(path), source)


def _failures(work: Work) -> Iterator[tuple[str, Span, str | None]]:
    texts = {each.file: each.source.decode(errors="replace") for each in work.dropins}
    sources: dict[str, Source] = {}
    for dropin in work.dropins:
        if dropin.helps:
            continue
        try:
            work.registry.get(dropin.name)
        except DropInError as error:
            # Shown behind what the files of the language themselves have.
            source = sources.setdefault(
                error.file, Source(error.file, texts[error.file], order=work.sources + len(sources))
            )
            yield str(error), _line(source, error.line), error.hint


def _line(source: Source, line: int) -> Span:
    """Return the text of one line, without the space around it."""
    text = source.lines[line - 1] if line <= len(source.lines) else ""
    indent = len(text) - len(text.lstrip())
    return Span(source, line, indent + 1, len(text.strip()))
