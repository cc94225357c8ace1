"""Ids that sort by time: UUID version 7 (RFC 9562, 5.7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

_VARIANT = 0b10 << 14
_SEED_BITS = 47
_LAST = (1 << 48) - 1


class Uuid7:
    """Makes ids, each greater than the one before in this process.

    A millisecond has one random prefix; behind it, and when the clock steps back, the random tail
    grows by a random amount (RFC 9562, 6.2, method 2), so that most calls format 48 bits only. The
    generator is seeded by the operating system and no cryptographic one: ids are names, never
    secrets. `now` returns nanoseconds since 1970.
    """

    __slots__ = ("_bits", "_millisecond", "_now", "_prefix", "_tail")

    def __init__(self, now: Callable[[], int] = time.time_ns, random: Random | None = None) -> None:
        self._now = now
        self._bits = (random or Random()).getrandbits  # noqa: S311  see the docstring
        self._millisecond = -1
        self._prefix = ""
        self._tail = 0

    def __call__(self) -> str:
        """Return the next id in its text form."""
        millisecond = self._now() // 1_000_000
        self._tail += 1 + self._bits(32)
        if millisecond > self._millisecond:
            self._begin(millisecond)
        elif self._tail > _LAST:
            self._begin(self._millisecond + 1)
        return f"{self._prefix}{self._tail:012x}"

    def _begin(self, millisecond: int) -> None:
        # The tail's top bit starts at 0, so that there is room to grow within the millisecond.
        self._millisecond = millisecond
        time_text = f"{millisecond:012x}"
        middle = f"7{self._bits(12):03x}-{_VARIANT | self._bits(14):04x}"
        self._prefix = f"{time_text[:8]}-{time_text[8:]}-{middle}-"
        self._tail = self._bits(_SEED_BITS)
