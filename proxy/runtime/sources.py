"""Whether the source of a plugin in use is another than the one that was imported.

A reload imports nothing but drop-ins again: instances of the old class and of the new one would live
side by side, and half of a package would be old. So it says what a restart would bring.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from proxy.config.models import Entry
from proxy.plugin.catalog import Catalog
from proxy.plugin.dropins import NAMESPACE

OURS = frozenset({"proxy", NAMESPACE, ""})
"""What is not looked at: the gateway itself, and drop-ins, which each load runs anew."""

Stamp = tuple[int, int]


class Sources:
    """The source files of the plugins' packages, as they were when they were first seen."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog
        self._seen: dict[str, Stamp | None] = {}

    def note(self, entries: Iterable[Entry]) -> None:
        """Remember how the files are now that plugins have been imported from. Reads the disk."""
        for file in {file for entry in entries for file in self._files(entry)}:
            self._seen.setdefault(file, _stamp(file))

    def changed(self, entries: Iterable[Entry]) -> list[str]:
        """Return the identities of the plugins whose package has changed since. Reads the disk."""
        different = {file for file, known in self._seen.items() if _stamp(file) != known}
        changed = (
            entry.identity
            for entry in entries
            if different and not different.isdisjoint(self._files(entry))
        )
        return list(dict.fromkeys(changed))

    def _files(self, entry: Entry) -> Iterator[str]:
        found = self._catalog().named(entry.plugin, entry.use)
        named = (found.__module__, (entry.use or "").partition(":")[0])
        packages = {module.partition(".")[0] for module in named} - OURS
        for name, module in tuple(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if name.partition(".")[0] in packages and file and file.endswith(".py"):
                yield file


def _stamp(file: str) -> Stamp | None:
    try:
        now = Path(file).stat()
    except OSError:
        return None
    return now.st_mtime_ns, now.st_size
