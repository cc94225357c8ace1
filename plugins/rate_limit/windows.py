"""Windows: how many requests in which time, as the generic cell rate algorithm counts them.

A window is an interval between two requests, `step`, and how much of it may be saved up, `span`:
`100/min` is a step of 0.6 s and a span of 60 s, so that 100 requests may come at once and one more
every 0.6 s. Of a key one number is remembered, the moment at which all its requests would be paid
for with one step each (its theoretical arrival time).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SLACK = 1e-3
"""Part of a step by which a request may be early: what sums of floats are off by is far less."""


@dataclass(frozen=True, slots=True)
class Window:
    """`burst` requests at once, and one more every `step` seconds. `name` is for headers."""

    name: str
    step: float
    burst: int

    @property
    def span(self) -> float:
        """Seconds after which the whole burst may come again."""
        return self.step * self.burst

    @property
    def policy(self) -> str:
        """Its part of `RateLimit-Policy`: the burst, and the time in which it comes back whole.

        With a burst that is the rate's count these are the rate itself.
        """
        return f'"{self.name}";q={self.burst};w={math.ceil(self.span - 1e-6)}'

    @property
    def key(self) -> str:
        """Name its state: another one for another window."""
        return f"{self.name}:{self.step:.9g}:{self.burst}"

    def part(self, share: float) -> Window:
        """Return the window that grants `share` of this one."""
        return Window(self.name, self.step / share, max(1, int(self.burst * share)))


def windows_of(given: Any, plan: str = "") -> tuple[Window, ...]:
    """Return the windows of an option: a rate, or a list of rates and of mappings with one."""
    return tuple(_windows(given if isinstance(given, list) else [given], plan))


def _windows(given: Iterable[Any], plan: str) -> Iterator[Window]:
    for each in given:
        written: Mapping[str, Any] = each if isinstance(each, dict) else {"rate": each}
        rate = written["rate"]
        name = written.get("name") or f"{plan} {rate}".strip()
        yield Window(name, rate.per / rate.count, written.get("burst") or rate.count)


def left(windows: Sequence[Window], used: Sequence[float]) -> str:
    """Return the value of `RateLimit`: what is left of each window, and when it is whole again.

    `used` are the seconds until each is whole.
    """
    return ", ".join(
        f'"{window.name}";r={int(window.burst - spent / window.step + SLACK)};t={math.ceil(spent)}'
        for window, spent in zip(windows, used, strict=True)
    )
