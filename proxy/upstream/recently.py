"""Counting what happened within the last seconds, with numbers that are cheap to keep."""

from __future__ import annotations

from collections import deque

SLOTS = 10
"""Parts of a window; what is older than it goes one part at a time."""


class Stream:
    """Things that happen all the time and are asked about rarely: whoever counts says `count += 1`.

    No clock is read for it. Between two questions the count is taken to have risen evenly.
    """

    __slots__ = ("_samples", "count", "window")

    def __init__(self, window: float, now: float) -> None:
        """`window` is in seconds, `now` a reading of the clock that later ones are compared with."""
        self.window = window
        self.count = 0
        self._samples = deque([(now, 0)])

    def recent(self, now: float) -> float:
        """Return how many there were within the window before `now`."""
        samples, start = self._samples, now - self.window
        while len(samples) > 1 and samples[1][0] <= start:
            samples.popleft()
        since, before = samples[0]
        until, then = samples[1] if len(samples) > 1 else (now, self.count)
        # Only what came around the window's beginning has to be shared out.
        inside = min(1.0, (until - start) / (until - since)) if until > since else 1.0
        found = self.count - then + (then - before) * inside
        if now - samples[-1][0] >= self.window / SLOTS:
            samples.append((now, self.count))
        return found


class Tally:
    """Things that happen rarely: each is noted with its time, in tenths of the window."""

    __slots__ = ("_counts", "_slot", "window")

    def __init__(self, window: float) -> None:
        self.window = window
        self._counts: deque[int] = deque([0] * SLOTS, SLOTS)
        self._slot = 0

    def add(self, now: float) -> None:
        """Note one."""
        self._turn(now)
        self._counts[-1] += 1

    def recent(self, now: float) -> int:
        """Return how many there were within the window before `now`."""
        self._turn(now)
        return sum(self._counts)

    def clear(self) -> None:
        """Forget all."""
        self._counts.extend([0] * SLOTS)

    def _turn(self, now: float) -> None:
        slot = int(now / self.window * SLOTS)
        if slot > self._slot:
            self._counts.extend([0] * min(slot - self._slot, SLOTS))
            self._slot = slot
