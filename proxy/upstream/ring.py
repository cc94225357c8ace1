"""Consistent hashing: the same key, the same target, and few keys that move when targets change."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

T = TypeVar("T")

POINTS = 400
"""Points of one target of weight 1: the fullest of a hundred then has about 1.13 of the mean."""

MOST = 200_000
"""Points of a whole ring, whatever the weights: 50 ms to make."""


class Ring(Generic[T]):
    """Points of targets on a circle; a key belongs to the next point (Karger et al., 1997).

    A target that leaves takes its points with it: its keys move, spread over the others, and no key
    of another target does.
    """

    __slots__ = ("_at", "_of")

    def __init__(self, targets: Sequence[tuple[str, int, T]]) -> None:
        """`targets` are name, weight and value each; the order of the names says nothing."""
        whole = sum(weight for _, weight, _ in targets)
        each = min(POINTS, MOST / max(whole, 1))
        points = [
            (place(f"{name}#{number}"), index)
            for index, (name, weight, _) in enumerate(targets)
            for number in range(max(1, round(weight * each)) if weight else 0)
        ]
        points.sort()
        self._at = [at for at, _ in points]
        self._of = [targets[index][2] for _, index in points]

    def along(self, key: str) -> Iterator[T]:
        """Yield the target of a key, then those that get its keys when that can't be asked."""
        size = len(self._at)
        start = bisect(self._at, place(key))
        for step in range(size):
            yield self._of[(start + step) % size]


def place(text: str) -> int:
    """Return a place on the circle, the same in every process: Python's own hash() is salted."""
    # A claim is JSON, which may hold surrogates that stand alone.
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())
