"""How much of an upstream's traffic may be tried again: retries must not bury what is failing."""

from __future__ import annotations

from time import monotonic

from proxy.config.models import Retry
from proxy.upstream.recently import Stream, Tally

WINDOW = 10.0
"""Seconds over which requests and retries are counted."""


class RetryBudget:
    """Retries as a share of the requests of the last ten seconds.

    `requests.count` is raised for every request by whoever takes a slot. `spent` counts the retries
    that were granted, `refused` those that were not.
    """

    __slots__ = ("_retries", "refused", "requests")

    def __init__(self) -> None:
        self.requests = Stream(WINDOW, monotonic())
        self.refused = 0
        self._retries = Tally(WINDOW)

    def allows(self, retry: Retry) -> bool:
        """Say whether one more retry is within `retry.budget`, or below `retry.floor`."""
        now = monotonic()
        with_this = self._retries.recent(now) + 1
        return with_this <= max(retry.floor, retry.budget * self.requests.recent(now))

    def spend(self, retry: Retry) -> bool:
        """Take one retry out of the budget. Return whether there was one left."""
        if not self.allows(retry):
            self.refused += 1
            return False
        self._retries.add(monotonic())
        return True
