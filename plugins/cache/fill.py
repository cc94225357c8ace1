"""An answer on its way into the store: its body is collected as it goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugins.cache.flights import UNSHARED

if TYPE_CHECKING:
    from plugins.cache.asked import Resource
    from plugins.cache.entry import Entry
    from plugins.cache.flights import Flight
    from plugins.cache.store import Store
    from proxy import Exchange


class Fill:
    """Begins when the upstream is asked and ends when its answer is stored, or is not to be.

    It is a tap on the answer's body (`proxy.Answer.tap`). What an unsafe request has made old
    meanwhile is not stored. Its end lets those go that wait for the same.
    """

    __slots__ = (
        "_entry",
        "_flight",
        "_held",
        "_most",
        "_open",
        "_parts",
        "_shared",
        "_store",
        "resource",
    )

    def __init__(self, store: Store, resource: Resource, flight: Flight | None) -> None:
        self._store = store
        self.resource = resource
        self._flight = flight
        self._open = True
        self._entry: Entry | None = None
        self._parts: list[bytes] = []
        self._held = 0
        self._most = 0
        self._shared = False

    @property
    def streams(self) -> bool:
        """Whether it waits for the rest of a body."""
        return self._open and self._entry is not None

    def expect(self, entry: Entry, most: int, *, shared: bool) -> None:
        """Store `entry` when its body has gone by, unless that is longer than `most` bytes.

        `shared` tells whether it will be fresh: then whoever waits is served with it.
        """
        if self._open:
            self._entry, self._most, self._shared = entry, most, shared

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if not self.streams:
            return
        size = self._held + len(data)
        if size > self._most or not self._store.hold(len(data)):
            self.close(UNSHARED)
            return
        self._held = size
        self._parts.append(data)

    def end(self) -> None:
        """Store what has gone by: it was all."""
        entry = self._entry
        if not self._open or entry is None:
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._release()
        if entry.complete(body):
            self.put(entry, shared=self._shared)
        else:
            self.close(UNSHARED)

    def put(self, entry: Entry, *, shared: bool) -> None:
        """Store a complete entry, unless it has become old meanwhile."""
        if self._open:
            stored = self._store.put(entry)
            self.close(0.0 if stored and shared else UNSHARED)

    def spoil(self) -> None:
        """Do not store: what is asked for was changed meanwhile."""
        self.close()

    def finish(self, exchange: Exchange) -> None:
        """Give up what has not come to its end when its exchange has."""
        self.close()

    def close(self, alone: float = 0.0) -> None:
        """End, once. Who waited may ask, one for the others, or each `alone` for so many seconds."""
        if not self._open:
            return
        self._open = False
        self._release()
        self._entry = None
        self._store.forget(self)
        if self._flight is not None:
            self._store.flights.end(self._flight, alone)
            self._flight = None

    def _release(self) -> None:
        self._store.let_go(self._held)
        self._held = 0
        self._parts = []
