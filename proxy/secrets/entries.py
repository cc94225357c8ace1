"""What is kept of a store's paths: so many and no more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from proxy.secrets.entry import Entry
from proxy.secrets.lines import Lines


class Entries:
    """Of more than `most` paths the one that was asked for least recently is forgotten.

    Before it go those that hold no secret: who asks for what there is not, or while the store is away,
    pushes nobody's out. Those that something is bound to, or that are being asked for, stay.
    `forgotten` is told.
    """

    def __init__(self, most: int, forgotten: Callable[[Entry], None]) -> None:
        self._most = most
        self._forgotten = forgotten
        self._lines = Lines()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Yield them, the one that is forgotten next first; they may change meanwhile."""
        return iter(list(self._entries.values()))

    def of(self, path: str) -> Entry:
        """Return the entry of a path, an empty one where there was none."""
        entry = self._entries.get(path)
        if entry is None:
            entry = self._entries[path] = Entry(path, self._lines)
        return entry

    def kept(self, path: str) -> Entry | None:
        """Return what is kept of a path."""
        return self._entries.get(path)

    def touch(self, entry: Entry) -> None:
        """Make an entry the last to be forgotten, and forget the first where there are too many."""
        if self._entries.get(entry.path) is entry:
            self._entries.move_to_end(entry.path, last=entry.secret is not None)
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
        self._lines.end()


def _idle(entry: Entry) -> bool:
    return not entry.bound and entry.asking is None
