"""Counting in this process."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import Protocol

from plugins.rate_limit.memory import SALT, Memory
from plugins.rate_limit.windows import SLACK, Window, left

Verdict = tuple[float, str]
"""Seconds to wait, 0 for a request that is admitted, and the value of `RateLimit`."""


class Here(Protocol):
    """Takes a request of a key at a moment (seconds, of any clock)."""

    def take(self, key: str, now: float) -> Verdict:
        """Admit a request, or say how long to wait; one that is refused takes nothing."""


def here(windows: Sequence[Window], memories: Sequence[Memory]) -> Here:
    """Return what counts by these windows."""
    if len(windows) == 1:
        return _One(windows[0], memories[0])
    return _Several(windows, memories)


class _One:
    """One window: written out, since this runs for every request."""

    def __init__(self, window: Window, memory: Memory) -> None:
        self._memory = memory
        self._shards = memory.shards
        self._mask = memory.mask
        self._step = window.step
        self._most = window.span + window.step * SLACK
        self._burst = window.burst + SLACK
        self._head = f'"{window.name}";r='

    def take(self, key: str, now: float) -> Verdict:
        step = self._step
        mark = hash(SALT + key)
        shard = self._shards[mark & self._mask]
        if now >= shard.ends:
            self._memory.turn(shard, now)
        arrival = shard.young.get(mark)
        if arrival is None:
            arrival = self._memory.settle(shard, mark)
        # What is paid for until `now` counts no more.
        spent = arrival - now + step if arrival > now else step
        if spent > self._most:
            return spent - self._most, f"{self._head}0;t={ceil(spent - step)}"
        shard.young[mark] = now + spent
        return 0.0, f"{self._head}{floor(self._burst - spent / step)};t={ceil(spent)}"


class _Several:
    """Several windows, all of which must admit a request."""

    def __init__(self, windows: Sequence[Window], memories: Sequence[Memory]) -> None:
        self._windows = windows
        self._all = tuple(
            (
                memory,
                window.step,
                window.span + window.step * SLACK,
                window.burst + SLACK,
                f', "{window.name}";r=',
            )
            for window, memory in zip(windows, memories, strict=True)
        )

    def take(self, key: str, now: float) -> Verdict:
        mark = hash(SALT + key)
        wait, spent = 0.0, []
        for memory, step, most, _, _ in self._all:
            used = memory.find(mark, now) - now
            if used < 0.0:
                used = 0.0
            spent.append(used)
            if used + step - most > wait:
                wait = used + step - most
        if wait:
            return wait, left(self._windows, spent)
        told = ""
        for (memory, step, _, burst, head), before in zip(self._all, spent, strict=False):
            used = before + step
            memory.put(mark, now + used)
            told += f"{head}{floor(burst - used / step)};t={ceil(used)}"
        return 0.0, told[2:]
