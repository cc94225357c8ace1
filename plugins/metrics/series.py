"""What is counted on the way of a request: plain numbers, made into metrics at a scrape only."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

Answered = tuple[str, int, str]
"""Method, first digit of the status (0: the connection broke before a head), error code or ""."""


class Distribution:
    """A histogram as plain lists: an observation is a bisection and two additions.

    prometheus-client's own takes a lock and walks its buckets, about 2 µs each time; there is one
    thread that observes, so neither is needed. `bounds` are inclusive upper bounds in seconds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Yield the bound as Prometheus writes it, and how many were not above it."""
        from prometheus_client.utils import floatToGoString  # long imported when a scrape comes

        bounds = (*self.bounds, math.inf)
        names = [floatToGoString(bound) for bound in bounds]  # type: ignore[no-untyped-call]
        return zip(names, accumulate(self.counts), strict=True)


class RouteSeries:
    """What one route has counted since the process began."""

    __slots__ = ("answered", "duration", "first_byte", "received", "sent")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.answered: dict[Answered, int] = {}
        self.received = 0
        self.sent = 0
        self.duration = Distribution(bounds)
        self.first_byte = Distribution(bounds)


class Gauge:
    """A number that goes up and down."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Store:
    """All series of the process, shared by the plugin's instances, so that they outlive a reload.

    A scrape reads it in another thread: `items` of a mapping are copied in one step there.
    """

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], RouteSeries] = {}
        self.in_flight: dict[str, Gauge] = {}

    def route(self, route: str, service: str, bounds: Sequence[float]) -> RouteSeries:
        """Return a route's series; with other bounds its histograms begin anew, as at a restart."""
        series = self.routes.get((route, service))
        if series is None:
            series = self.routes[route, service] = RouteSeries(bounds)
        elif series.duration.bounds != bounds:
            series.duration, series.first_byte = Distribution(bounds), Distribution(bounds)
        return series

    def service(self, service: str) -> Gauge:
        return self.in_flight.setdefault(service, Gauge())
