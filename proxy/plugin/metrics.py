"""The process's metrics: get-or-create on a registry of the gateway's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from proxy.errors import ConfigError

M = TypeVar("M", bound=MetricWrapperBase)


class MetricRegistry:
    """Keeps metrics by name over reloads (`proxy.plugin.context.Metrics`).

    It does not use prometheus-client's global registry: that one holds whatever a library puts
    there, and two gateways in one process (tests) would share it. All methods that make a metric
    raise ConfigError when its name is taken by one of another kind or with other labels.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics: dict[str, MetricWrapperBase] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._collectors: dict[str, Collector] = {}

    def counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return self._get(
            Counter, name, labels, lambda names: Counter(name, text, names, registry=self._registry)
        )

    def gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return self._get(
            Gauge, name, labels, lambda names: Gauge(name, text, names, registry=self._registry)
        )

    def histogram(
        self, name: str, text: str, labels: Iterable[str] = (), buckets: Sequence[float] = ()
    ) -> Histogram:
        """Get or make a histogram; `buckets` are upper bounds and count when it is first made."""
        bounds = tuple(buckets) or Histogram.DEFAULT_BUCKETS
        return self._get(
            Histogram,
            name,
            labels,
            lambda names: Histogram(name, text, names, registry=self._registry, buckets=bounds),
        )

    def collector(self, name: str, collector: Collector) -> None:
        """Register a collector; one registered under the same name before is replaced."""
        before = self._collectors.pop(name, None)
        if before is not None:
            self._registry.unregister(before)
        self._registry.register(collector)
        self._collectors[name] = collector

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """Return what a scrape gets: the body, and the Content-Type that `accept` asks for.

        With thousands of routes this takes long enough to be called in a thread.
        """
        return _encoded(self._registry, accept)

    def families(self) -> list[Metric]:
        """Return all that is counted now, for a scrape that sums up several processes."""
        return list(self._registry.collect())

    def _get(
        self,
        kind: type[M],
        name: str,
        labels: Iterable[str],
        make: Callable[[tuple[str, ...]], M],
    ) -> M:
        names = tuple(labels)
        known = self._metrics.get(name)
        if known is None:
            known = self._metrics[name] = self._make(name, names, make)
        if not isinstance(known, kind) or self._labels[name] != names:
            raise ConfigError(f"metric '{name}' exists as another kind or with other labels")
        return known

    def _make(self, name: str, labels: tuple[str, ...], make: Callable[[tuple[str, ...]], M]) -> M:
        try:
            metric = make(labels)
        except ValueError as error:
            raise ConfigError(f"metric '{name}' can't be made: {error}") from error
        self._labels[name] = labels
        return metric


def written(families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """Return what a scrape gets of these families: as `expose`, without a registry."""
    return _encoded(_Families(list(families)), accept)


class _Families(CollectorRegistry):
    """Families that are there already, where an encoder wants a registry."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _encoded(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is no number
        encode, content_type = choose_encoder("")
    return encode(registry), content_type
