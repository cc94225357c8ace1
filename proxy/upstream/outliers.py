"""Passive health: a target whose answers are bad is left out for a growing time."""

from __future__ import annotations

from time import monotonic

from proxy.config.models import Outliers
from proxy.upstream.recently import Stream, Tally


class OutlierWatch:
    """Judges one target by how its requests end. It tells; who listens decides.

    The time of an ejection grows with each, and a time as long as that spent well takes one back.
    """

    __slots__ = ("_bad", "_readmitted", "_spec", "_streak", "ejections", "grown", "requests")

    def __init__(self, spec: Outliers) -> None:
        self._spec = spec
        self._streak = 0
        self._bad = Tally(spec.window)
        self._readmitted = 0.0
        self.requests = Stream(spec.window, monotonic())
        self.ejections = 0
        self.grown = 0

    @property
    def failing(self) -> bool:
        """Whether nothing but bad ends came lately, enough of them to leave the target out."""
        return self._streak >= self._spec.failures

    def good(self) -> None:
        """A request ended well."""
        self._streak = 0
        self.requests.count += 1

    def bad(self) -> str | None:
        """A request ended badly. Return why the target should be left out, None if it need not."""
        now, spec = monotonic(), self._spec
        self._streak += 1
        self.requests.count += 1
        self._bad.add(now)
        if self._streak >= spec.failures:
            return f"{self._streak} bad ends in a row"
        bad, all_of_them = self._bad.recent(now), self.requests.recent(now)
        if all_of_them >= spec.minimum and bad >= spec.share * all_of_them:
            return f"{bad} of the last {all_of_them:.0f} requests ended badly"
        return None

    def eject(self) -> float:
        """Return for how many seconds to leave the target out this time."""
        spec = self._spec
        if self.grown and spec.eject_for > 0:
            well = monotonic() - self._readmitted
            self.grown = max(0, self.grown - int(well / (spec.eject_for * self.grown)))
        self.grown += 1
        self.ejections += 1
        return min(spec.eject_for * self.grown, spec.longest)

    def readmit(self) -> None:
        """Begin anew: what was before the ejection says nothing of now."""
        self._streak = 0
        self._bad.clear()
        self._readmitted = monotonic()
        self.requests = Stream(self._spec.window, self._readmitted)
