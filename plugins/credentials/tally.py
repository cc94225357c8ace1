"""What became of requests, as a scrape reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from plugins.credentials.counts import Counts


class Tally(Collector):
    """The counts of the process by the reference of the file, never by a path or a tenant."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}

    def of(self, reference: str) -> Counts:
        """Return the counts of all entries with this reference."""
        return self._counts.setdefault(reference, Counts())

    def collect(self) -> Iterator[Metric]:
        """Yield the metric family. A scrape is in another thread: it reads, and changes nothing."""
        family = CounterMetricFamily(
            "brain_credentials",
            "Requests by where their credential came from: remembered, asked (of the store), stale (the "
            "store could not be asked), renewed (a second try, behind an upstream's refusal), refused "
            "(there was none to be had).",
            labels=("secret", "outcome"),
        )
        for reference, counts in list(self._counts.items()):
            for each in fields(counts):
                family.add_metric((reference, each.name), getattr(counts, each.name))
        yield family
