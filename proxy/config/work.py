"""What every step of the compilation needs: the tree, its values, and where to report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from proxy.config.codes import Code
from proxy.config.diagnostics import Report
from proxy.config.models import Place
from proxy.config.references import Referring
from proxy.config.registry import Registry
from proxy.config.source import Span
from proxy.config.tree import Mapping as Tree
from proxy.config.tree import Path, key_span, span_of
from proxy.plugin.dropins import DropIn


@dataclass
class Work:
    """One set of files on its way to a `Config`.

    `complete` is False where an included file could not be read. `broken` holds the paths of which
    the structure is wrong, and all above them: what is at or above such a path can't be compiled.
    `read_files` are further files that the configuration consists of. `spans` leads from places that
    were kept back to the text; `named` are those of routes with a name. `sources` counts the files
    of the language; `dropins` and `plugins_folder` are what `plugins_dir` holds and which it is.
    `referring` are the options that refer to stores of secrets.
    """

    root: Tree
    data: dict[str, Any]
    environment: Mapping[str, str]
    registry: Registry
    report: Report
    complete: bool = True
    broken: set[Path] = field(default_factory=set)
    read_files: dict[str, bytes] = field(default_factory=dict)
    spans: dict[Place, Span] = field(default_factory=dict)
    named: set[Place] = field(default_factory=set)
    sources: int = 0
    dropins: tuple[DropIn, ...] = ()
    plugins_folder: str | None = None
    referring: list[Referring] = field(default_factory=list)

    def mark_broken(self, paths: Collection[Path]) -> None:
        """Remember `paths` and all above them."""
        self.broken |= {path[:end] for path in paths for end in range(len(path) + 1)}

    def get(self, *path: str) -> Any:
        """Return the value at `path`: None where nothing is or where its structure is wrong."""
        value: Any = self.data
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return None if path in self.broken else value

    def key(self, *path: str | int) -> Span:
        """Return the place of a key."""
        return key_span(self.root, path)

    def value(self, *path: str | int) -> Span:
        """Return the place of a value."""
        return span_of(self.root, path)

    def place(self, span: Span, *, named: bool = False) -> Place:
        """Return a place to be kept, from which `spans` leads back."""
        place = span.place
        self.spans[place] = span
        if named:
            self.named.add(place)
        return place

    def file(self, path: Path, text: str) -> str:
        """Read a file, relative to the configuration file that names it, and return its path."""
        name = self.relative(path, text)
        try:
            self.read_files[name] = FilePath(name).read_bytes()
        except (OSError, ValueError):
            self.report.error(Code.FILES, f"'{text}' can't be read", self.value(*path))
        return name

    def relative(self, path: Path, text: str) -> str:
        """Return a path as seen from the configuration file in which the value at `path` stands."""
        return str(self.value(*path).source.folder / text)
