"""What a store is asked and how long that takes, for metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

BOUNDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds: inclusive upper bounds of the classes that fetches are counted in."""


class StoreCounts:
    """Questions by what came of them: read, renewed, or failed; and by how long they took."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.classes = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    @contextmanager
    def timed(self) -> Iterator[list[str]]:
        """Count a question; what is put into the list names what came of it where nothing is raised."""
        outcome = ["read"]
        started = perf_counter()
        try:
            yield outcome
        except BaseException:
            outcome[0] = "failed"
            raise
        finally:
            taken = perf_counter() - started
            self.outcomes[outcome[0]] += 1
            self.classes[bisect_left(BOUNDS, taken)] += 1
            self.seconds += taken
