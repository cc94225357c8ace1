"""What was decided, as what a scrape reads."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from plugins.rate_limit.counts import Counts


class Tally(Collector):
    """The counts of the process by the plugin's identity: never by key, which has no bound."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}

    def of(self, identity: str) -> Counts:
        """Return the counts of all entries of this identity."""
        return self._counts.setdefault(identity, Counts())

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. A scrape is in another thread: it reads, and changes nothing."""
        counts = list(self._counts.items())
        decisions = CounterMetricFamily(
            "brain_rate_limit_decisions",
            "Requests by what the limit said: admitted, refused; admitted_alone and refused_alone "
            "(counted in this process while the store was away), unchecked (let pass, it was away), "
            "unavailable (refused, it was away).",
            labels=("policy", "outcome"),
        )
        keys = GaugeMetricFamily(
            "brain_rate_limit_keys", "Keys that are remembered, of all windows.", labels=("policy",)
        )
        evicted = CounterMetricFamily(
            "brain_rate_limit_evicted",
            "Keys that were forgotten before their time to make room.",
            labels=("policy",),
        )
        for identity, one in counts:
            for outcome, count in one.outcomes():
                decisions.add_metric((identity, outcome), count)
            keys.add_metric((identity,), sum(map(len, one.memories)))
            evicted.add_metric((identity,), sum(memory.evicted for memory in one.memories))
        yield from (decisions, keys, evicted)
