"""What one instance of the plugin works with, and how it reads the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugins.cache.asked import Asked
from plugins.cache.entry import Entry

if TYPE_CHECKING:
    from plugins.cache.rules import Rules
    from plugins.cache.store import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """The store, the rules, and the options in force.

    `default_ttl`, `stale_if_error` and `wait` are seconds, `max_entry` bytes. `clock` is monotonic,
    `now` gives seconds since 1970.
    """

    store: Store
    rules: Rules
    max_entry: int
    default_ttl: int
    stale_if_error: int
    wait: float
    clock: Callable[[], float]
    now: Callable[[], float]

    def age(self, entry: Entry) -> int:
        """Return how old an entry is."""
        return entry.age(self.clock())

    def lifetime(self, entry: Entry) -> int:
        """Return for how long an entry is fresh."""
        return entry.policy.lasts(self.default_ttl)

    def late(self, entry: Entry) -> int:
        """Return for how long an entry has been stale, negative while it is fresh."""
        return self.age(entry) - self.lifetime(entry)

    def usable(self, asked: Asked, entry: Entry, age: int, lifetime: int) -> bool:
        """Tell whether an entry may be served without asking (RFC 9111, 4), by these two readings."""
        return age < lifetime and not entry.policy.no_cache and asked.takes(age, lifetime - age)
