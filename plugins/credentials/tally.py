"""Counts in plain numbers, as a scrape reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")


class Tally(Collector, Generic[C]):
    """The counts of the process by a name of the file, never by a path or a tenant.

    `make` makes those of one name: a dataclass, whose fields are the outcomes.
    """

    def __init__(self, name: str, text: str, label: str, make: Callable[[], C]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._make = make
        self._counts: dict[str, C] = {}

    def of(self, name: str) -> C:
        """Return the counts of all entries that have this name."""
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = self._make()
        return counts

    def collect(self) -> Iterator[Metric]:
        """Yield the metric family. A scrape is in another thread: it reads, and changes nothing."""
        family = CounterMetricFamily(self._name, self._text, labels=(self._label, "outcome"))
        for name, counts in list(self._counts.items()):
            for each in fields(counts):
                family.add_metric((name, each.name), getattr(counts, each.name))
        yield family
