"""Stored answers: found by what is asked, bounded by their size, the least recently used first out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from plugins.cache.asked import Asked, Partition, Resource
from plugins.cache.entry import Entry
from plugins.cache.fill import Fill
from plugins.cache.flights import Flight, Flights

MOST_VARIANTS = 32
"""Answers kept that differ by `Vary` alone: clients choose what it names, and each is looked at."""

RESULTS = ("hit", "miss", "stale", "revalidated", "collapsed")


class Store:
    """One memory, shared by the plugin's instances of one name, over reloads too.

    Its bound is in bytes and holds for entries and for bodies that are on their way in. It is the
    largest that its members ask for: at a reload the old snapshot's is one of them until that closes.
    """

    def __init__(self) -> None:
        self.bound = 0
        self.size = 0
        self.evicted = 0
        self.counts = dict.fromkeys(RESULTS, 0)
        self.flights = Flights()
        self._members: list[int] = []
        self._held = 0
        self._recent: OrderedDict[Entry, None] = OrderedDict()
        self._resources: dict[Resource, dict[Partition, list[Entry]]] = {}
        self._fills: dict[Resource, set[Fill]] = {}

    def __repr__(self) -> str:
        return f"<Store {len(self)} entries, {self.size} of {self.bound} bytes>"

    def __len__(self) -> int:
        return len(self._recent)

    @property
    def used(self) -> int:
        """Bytes of entries and of bodies on their way in."""
        return self.size + self._held

    # -- members

    def join(self, bound: int) -> None:
        """Count one more instance that uses this, with the size that it was given."""
        self._members.append(bound)
        self._resize()

    def leave(self, bound: int) -> bool:
        """Count one instance less; tell whether it was the last one."""
        self._members.remove(bound)
        self._resize()
        return not self._members

    def _resize(self) -> None:
        self.bound = max(self._members, default=0)
        # What is on its way in stays, though it may be more than the new bound by itself.
        while self._recent and self.used > self.bound:
            self._evict()

    # -- what is asked

    def find(self, asked: Asked) -> Entry | None:
        """Return the newest entry that answers, fresh or not, and count it as used now."""
        partitions = self._resources.get(asked.resource)
        if partitions is None:
            return None
        found: Entry | None = None
        for partition in (asked.own, asked.shared):
            for entry in partitions.get(partition, ()):
                if (found is None or entry.came >= found.came) and entry.matches(asked.values):
                    found = entry
        if found is not None:
            self._recent.move_to_end(found)
        return found

    def knows(self, asked: Asked) -> bool:
        """Tell whether anything is stored that would be for this caller, `Vary` aside."""
        partitions = self._resources.get(asked.resource, {})
        return asked.own in partitions or asked.shared in partitions

    # -- what comes in

    def begin(self, resource: Resource, flight: Flight | None) -> Fill:
        """Return a fill for what is asked of the upstream now: it ends by `close`, always."""
        fill = Fill(self, resource, flight)
        self._fills.setdefault(resource, set()).add(fill)
        return fill

    def forget(self, fill: Fill) -> None:
        """Count a fill as over."""
        fills = self._fills.get(fill.resource)
        if fills is not None:
            fills.discard(fill)
            if not fills:
                del self._fills[fill.resource]

    def hold(self, size: int) -> bool:
        """Make room for bytes on their way in. Return False when there is none."""
        if not self._make_room(size):
            return False
        self._held += size
        return True

    def let_go(self, size: int) -> None:
        """Give back what was held."""
        self._held -= size

    def put(self, entry: Entry) -> bool:
        """Take a complete entry, for those that it replaces. Return False when it is too large."""
        self.remove(self._replaced(entry))
        if not self._make_room(entry.size):
            return False
        entries = self._resources.setdefault(entry.resource, {}).setdefault(entry.partition, [])
        entries.append(entry)
        self._recent[entry] = None
        self.size += entry.size
        self.remove(entries[: max(0, len(entries) - MOST_VARIANTS)])
        return True

    def _replaced(self, entry: Entry) -> list[Entry]:
        entries = self._resources.get(entry.resource, {}).get(entry.partition, [])
        return [old for old in entries if old.variant == entry.variant]

    # -- what goes out

    def remove(self, entries: Iterable[Entry]) -> None:
        """Drop entries; one that has gone already is none."""
        for entry in list(entries):
            if entry not in self._recent:
                continue
            del self._recent[entry]
            self.size -= entry.size
            partitions = self._resources[entry.resource]
            partitions[entry.partition].remove(entry)
            if not partitions[entry.partition]:
                del partitions[entry.partition]
            if not partitions:
                del self._resources[entry.resource]

    def invalidate(self, resource: Resource) -> None:
        """Drop all that is stored of a resource, whoever it is for, and what is on its way in."""
        for entries in list(self._resources.get(resource, {}).values()):
            self.remove(entries)
        for fill in list(self._fills.get(resource, ())):
            fill.spoil()

    def _make_room(self, size: int) -> bool:
        if size + self._held > self.bound:
            return False  # all entries together would not make it
        while self.used + size > self.bound:
            self._evict()
        return True

    def _evict(self) -> None:
        self.remove([next(iter(self._recent))])
        self.evicted += 1
