"""The files of one load: read, parsed, laid over each other, fragments included."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping as Environment
from collections.abc import Sequence as Several
from itertools import takewhile
from pathlib import Path

from proxy.config.codes import Code
from proxy.config.diagnostics import Report, nearest
from proxy.config.parse import parse
from proxy.config.source import Source, Span
from proxy.config.texts import FileText
from proxy.config.tree import Mapping, Node, Scalar, Sequence

MAX_BYTES = 8 * 1024 * 1024
"""Of all files together: 10,000 services with options are about 3 MiB."""

FRAGMENT_KEYS = ("version", "services", "routes")

# What YAML refuses in a text (yaml.org/spec/1.2.2, 5.1).
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GLOB = re.compile(r"[*?\[]")


class Reader:
    """Reads files within one bound for all, and remembers which they were.

    With `texts` it reads none: files are what these say, and what was included then is included.
    """

    def __init__(
        self,
        environment: Environment[str, str],
        report: Report,
        texts: Several[FileText] | None = None,
    ) -> None:
        self.sources: list[Source] = []
        self.folders: dict[str, None] = {}
        """Those in which a new file may match a pattern of `include`, there or not, in order."""
        self.complete = True
        """False where a file of `include` could not be read: what it would hold is not missing."""
        self._environment = environment
        self._report = report
        self._texts = texts
        self._kept = {each.name: each.text for each in texts or ()}
        self._size = 0

    def read_all(self, files: Several[str]) -> Mapping | None:
        """Return the tree of `files`, the later laid over the earlier, with their fragments."""
        trees = [self._read_mapping(name) for name in files]
        if not trees or any(tree is None for tree in trees):
            return None
        merged = trees[0]
        for tree in trees[1:]:
            assert merged is not None
            assert tree is not None
            merged = _lay_over(merged, tree)
        return self._with_fragments(merged) if merged is not None else None

    def _read_mapping(self, name: str, at: Span | None = None) -> Mapping | None:
        """Read one file; `at` is the entry of `include` that names it."""
        source = Source(name, order=len(self.sources))
        self.sources.append(source)
        text = self._read_text(source, at)
        if text is None:
            return None
        source.text = text
        node = parse(source, self._environment, self._report)
        return self._as_mapping(node, source) if node or not self._report.failed else None

    def _as_mapping(self, node: Node | None, source: Source) -> Mapping | None:
        if isinstance(node, Mapping):
            return node
        if node is None or (isinstance(node, Scalar) and node.value is None):
            self._report.error(
                Code.EMPTY, "the file is empty", Span(source, 0, 0, 0), "begin with 'version: 1'"
            )
        else:
            self._report.error(
                Code.WRONG_TYPE, "the file must be a mapping of keys to values", node.span
            )
        return None

    def _read_text(self, source: Source, at: Span | None) -> str | None:
        if self._texts is not None:
            return self._kept[source.name]
        whole = Span(source, 0, 0, 0)
        try:
            if not _may_be_read(source.name):
                self._report.error(Code.UNREADABLE, "this is no regular file", at or whole)
                return None
            with Path(source.name).open("rb") as file:
                raw = file.read(MAX_BYTES - self._size + 1)
        except (OSError, ValueError) as error:
            why = _why(error)
            message = why if at is None else f"'{source.name}' can't be included: {why}"
            self._report.error(Code.UNREADABLE, message, at or whole)
            return None
        self._size += len(raw)
        if self._size > MAX_BYTES:
            limit = f"{MAX_BYTES // 1024**2} MiB"
            self._report.error(Code.TOO_MUCH, f"the files hold more than {limit} together", whole)
            return None
        return self._decoded(raw, source)

    def _decoded(self, raw: bytes, source: Source) -> str | None:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self._report.error(
                Code.NOT_TEXT, f"the file is not UTF-8 (line {line})", Span(source, 0, 0, 0)
            )
            return None
        if found := _UNPRINTABLE.search(text):
            source.text = text
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - text.rfind("\n", 0, found.start())
            message = f"control character U+{ord(found[0]):04X}"
            self._report.error(Code.NOT_TEXT, message, Span(source, line, column))
            return None
        return text

    def _with_fragments(self, tree: Mapping) -> Mapping:
        """Add what `include` names; of what is not a list of texts the schema will speak.

        A file that can't be read is reported, and the others are checked without it.
        """
        wanted = tree.items.get("include")
        if isinstance(wanted, Scalar) and wanted.template is not None:
            patterns = [
                (part.strip(), wanted.span) for part in wanted.expanded.split(",") if part.strip()
            ]
        elif isinstance(wanted, Sequence):
            patterns = [
                (item.value, item.span)
                for item in wanted.items
                if isinstance(item, Scalar) and isinstance(item.value, str)
            ]
        else:
            patterns = []
        including = {os.path.realpath(source.name) for source in self.sources}
        for name, span in self._included(patterns, tree):
            if os.path.realpath(name) in including:
                hint = "name other files, or put them into a folder"
                self._report.error(Code.INCLUDE, "the file includes itself", span, hint)
                continue
            fragment = self._read_mapping(name, span)
            self.complete = self.complete and fragment is not None
            if fragment is not None:
                tree = self._joined(tree, fragment)
        return tree

    def _included(
        self, patterns: Several[tuple[str, Span]], tree: Mapping
    ) -> list[tuple[str, Span]]:
        """Return the files that `include` names, each with the pattern's place."""
        found = [
            (name, span) for pattern, span in patterns for name in self._matches(pattern, span)
        ]
        if self._texts is None:
            return found
        return [(each.name, tree.span) for each in self._texts if each.included]

    def _matches(self, pattern: str, span: Span) -> list[str]:
        """Return the files of one pattern, sorted; a name without wildcards must exist."""
        folder = span.source.folder
        if not _GLOB.search(pattern):
            return [str(folder / pattern)]
        anchor = Path(pattern).anchor
        start, below = Path(anchor) if anchor else folder, pattern.removeprefix(anchor)
        try:
            self.folders |= dict.fromkeys(_folders(start, below))
            return sorted(str(path) for path in start.glob(below) if path.is_file())
        except (ValueError, NotImplementedError, OSError):
            self._report.error(Code.INCLUDE, "this is no pattern for files", span)
            return []

    def _joined(self, tree: Mapping, fragment: Mapping) -> Mapping:
        joined = _copy(tree)
        for key, node in fragment.items.items():
            if key not in FRAGMENT_KEYS:
                message = f"key '{key}' can't stand in an included file"
                hint = nearest(key, FRAGMENT_KEYS) or "it holds version, services and routes"
                self._report.error(Code.INCLUDE, message, fragment.keys[key], hint)
            elif key not in joined.items:
                joined.items[key], joined.keys[key] = node, fragment.keys[key]
            elif key != "version":
                joined.items[key] = self._added(joined.items[key], node)
        return joined

    def _added(self, known: Node, more: Node) -> Node:
        if isinstance(known, Mapping) and isinstance(more, Mapping):
            added = _copy(known)
            for name, node in more.items.items():
                if name in added.items:
                    message = f"service '{name}' is defined twice"
                    hint = f"first at {added.keys[name]}"
                    self._report.error(Code.DUPLICATE, message, more.keys[name], hint)
                else:
                    added.items[name], added.keys[name] = node, more.keys[name]
            return added
        if isinstance(known, Sequence) and isinstance(more, Sequence):
            longer = Sequence(known.span)
            longer.items = [*known.items, *more.items]
            return longer
        self._report.error(
            Code.WRONG_TYPE,
            "this differs in kind from the same key of the including file",
            more.span,
        )
        return known


def _folders(start: Path, pattern: str) -> list[str]:
    """Return the folder that a pattern names without wildcards, and all that they match."""
    *above, _ = Path(pattern).parts
    fixed = start.joinpath(*takewhile(lambda part: not _GLOB.search(part), above))
    named = str(Path(*above))
    matched = start.glob(named) if _GLOB.search(named) else ()
    return [str(fixed), *sorted(str(path) for path in matched if path.is_dir())]


def _copy(tree: Mapping) -> Mapping:
    copy = Mapping(tree.span)
    copy.items, copy.keys = dict(tree.items), dict(tree.keys)
    return copy


def _lay_over(below: Mapping, above: Mapping) -> Mapping:
    """Merge as Compose does: mappings by key, all else replaced, null removes."""
    merged = _copy(below)
    for key, node in above.items.items():
        old = merged.items.get(key)
        if isinstance(node, Scalar) and node.value is None:
            merged.items.pop(key, None)
            merged.keys.pop(key, None)
            continue
        if isinstance(old, Mapping) and isinstance(node, Mapping):
            merged.items[key] = _lay_over(old, node)
        else:
            merged.items[key], merged.keys[key] = node, above.keys[key]
    return merged


def _may_be_read(name: str) -> bool:
    """Tell a file from what may never end or begin: a FIFO waits for a writer.

    A folder is left to what opens it, and what a shell hands over has a writer.
    """
    mode = Path(name).stat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or name.startswith(("/dev/stdin", "/dev/fd/"))


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "this is a folder, not a file"
    if isinstance(error, PermissionError):
        return "no permission to read this file"
    return f"can't be read: {getattr(error, 'strerror', None) or 'not a file name'}"
