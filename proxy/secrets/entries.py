"""What is kept of a store's paths: so many and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from proxy.secrets.entry import Entry


class Entries:
    """Of more than `most` paths the one that was asked for least recently is forgotten.

    Those that something is bound to, or that are being asked for, stay. `forgotten` is told.
    """

    def __init__(self, most: int, forgotten: Callable[[Entry], None]) -> None:
        self._most = most
        self._forgotten = forgotten
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Yield them, the one that was asked for least recently first; they may change meanwhile."""
        return iter(list(self._entries.values()))

    def of(self, path: str) -> Entry:
        """Return the entry of a path, an empty one where there was none."""
        entry = self._entries.get(path)
        if entry is None:
            entry = self._entries[path] = Entry(path)
        return entry

    def kept(self, path: str) -> Entry | None:
        """Return what is kept of a path."""
        return self._entries.get(path)

    def touch(self, entry: Entry) -> None:
        """Make an entry the last to be forgotten, and forget the first where there are too many."""
        if self._entries.get(entry.path) is entry:
            del self._entries[entry.path]
            self._entries[entry.path] = entry
        while len(self._entries) > self._most:
            first = next((one for one in self._entries.values() if _idle(one)), None)
            if first is None:
                return
            del self._entries[first.path]
            self._forgotten(first)
            first.drop()

    def clear(self) -> None:
        """Forget all."""
        for entry in self._entries.values():
            entry.drop()
        self._entries.clear()


def _idle(entry: Entry) -> bool:
    return not entry.bound and entry.asking is None
