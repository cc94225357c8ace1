"""What the stores count, as what a scrape reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from plugins.cache.store import Store

F = TypeVar("F", CounterMetricFamily, GaugeMetricFamily)


class Stores(Collector):
    """The stores of the process by the plugin's identity, and their metrics.

    Counts are plain numbers that become metrics at a scrape only, which is in another thread: it
    reads, and copies mappings in one step. With no store left it yields nothing.
    """

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}

    def join(self, identity: str, bound: int) -> Store:
        """Return the store of `identity` for one more instance, which gives it `bound` bytes."""
        store = self._stores.setdefault(identity, Store())
        store.join(bound)
        return store

    def leave(self, identity: str, bound: int) -> None:
        """Count one instance less; the last one takes the store with it."""
        if self._stores[identity].leave(bound):
            del self._stores[identity]

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families, labelled by identity alone."""
        stores = list(self._stores.items())
        if not stores:
            return
        requests = CounterMetricFamily(
            "brain_cache_requests",
            "Requests that the cache looked at, by what it did: hit, collapsed (another one's answer "
            "was waited for), revalidated, stale (served though stale), miss.",
            labels=("cache", "result"),
        )
        for identity, store in stores:
            for result, count in store.counts.items():
                requests.add_metric((identity, result), count)
        yield requests
        evicted = CounterMetricFamily(
            "brain_cache_evicted", "Answers that went to make room.", labels=("cache",)
        )
        yield _filled(evicted, stores, lambda store: store.evicted)
        size = GaugeMetricFamily(
            "brain_cache_bytes",
            "Memory of stored answers and of those coming in.",
            labels=("cache",),
        )
        yield _filled(size, stores, lambda store: store.used)
        entries = GaugeMetricFamily("brain_cache_entries", "Stored answers.", labels=("cache",))
        yield _filled(entries, stores, len)


def _filled(family: F, stores: Iterable[tuple[str, Store]], read: Callable[[Store], int]) -> F:
    for identity, store in stores:
        family.add_metric((identity,), read(store))
    return family
