"""What one process remembers of keys: a number for each, bounded, dropped when it says nothing.

A key is kept as 64 bits of its hash, salted, so that nobody can look for two that meet. Keys live in
two generations: what is used moves to the young one; when a generation has lasted as long as a window
takes to be whole again, the old one has nothing left that counts, and goes as a whole. Both are cut
into shards, so that neither their growth nor their end stops the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex

from plugins.rate_limit.windows import Window

SHARDS = 64
SHARD_AT_LEAST = 128
TURN_AT_LEAST = 1.0
BYTES_PER_KEY = 170
"""What a remembered key takes at most, of one window: 56 for its numbers, the rest for two tables that
have just grown. Mostly it is 100."""

SALT = token_hex(8)
"""What a key's mark is made with, `hash(SALT + key)`: new in each process."""


class Shard:
    """A part of the keys, by their marks: `young` and `old` generation, and when `young` ends."""

    __slots__ = ("ends", "old", "young")

    def __init__(self) -> None:
        self.young: dict[int, float] = {}
        self.old: dict[int, float] = {}
        self.ends = 0.0


class Memory:
    """The keys of one window, in one process."""

    def __init__(
        self, window: Window, most: int, closed: Callable[[Memory], None] | None = None
    ) -> None:
        """`most` keys are remembered at once; then one of the old generation goes for each new one.

        `closed` is called when nobody counts here any more.
        """
        count = 1
        while count < SHARDS and most // (count * 2) >= SHARD_AT_LEAST:
            count *= 2
        self.evicted = 0
        self._closed = closed
        self._most = max(1, most // count)
        self._turn_after = max(window.span, TURN_AT_LEAST)
        self.mask = count - 1
        self.shards = [Shard() for _ in range(count)]

    def __len__(self) -> int:
        return sum(len(shard.young) + len(shard.old) for shard in self.shards)

    def close(self) -> None:
        """Say that nobody counts here any more."""
        if self._closed is not None:
            self._closed(self)

    def find(self, mark: int, now: float) -> float:
        """Return the theoretical arrival time of a key, 0 for one that is not remembered."""
        shard = self.shards[mark & self.mask]
        if now >= shard.ends:
            self.turn(shard, now)
        found = shard.young.get(mark)
        return self.settle(shard, mark) if found is None else found

    def put(self, mark: int, arrival: float) -> None:
        """Remember the theoretical arrival time of a key that `find` was just asked for."""
        self.shards[mark & self.mask].young[mark] = arrival

    def settle(self, shard: Shard, mark: int) -> float:
        """Move a key from the old generation to the young one, or make room for a new one."""
        found = shard.old.pop(mark, None)
        if found is not None:
            shard.young[mark] = found
            return found
        if len(shard.young) + len(shard.old) >= self._most:
            if not shard.old:
                shard.old, shard.young = shard.young, {}
            shard.old.popitem()
            self.evicted += 1
        return 0.0

    def turn(self, shard: Shard, now: float) -> None:
        """End a generation; what ended long ago in two other shards goes as well."""
        _turn(shard, now, self._turn_after)
        ended = (other for other in self.shards if now >= other.ends + self._turn_after)
        for other, _ in zip(ended, range(2), strict=False):
            _turn(other, now, self._turn_after)


def _turn(shard: Shard, now: float, after: float) -> None:
    shard.old = shard.young if now < shard.ends + after else {}
    shard.young = {}
    shard.ends = now + after
