"""What became of renewals, as what a scrape reads."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from plugins.credentials.oauth.counts import Counts


class Tally(Collector):
    """The counts of the process by the plugin's identity: never by path, which has no bound."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}

    def of(self, identity: str) -> Counts:
        """Return the counts of all entries of this identity."""
        return self._counts.setdefault(identity, Counts())

    def collect(self) -> Iterator[Metric]:
        """Yield the metric family. A scrape is in another thread: it reads, and changes nothing."""
        renewals = CounterMetricFamily(
            "brain_oauth_renewals",
            "Renewals of access tokens by what came of them: renewed, shared (another gateway had "
            "done it), rejected (the server refuses the grant), failed (the server or the store is "
            "away); unwritten are failures to write a new one back.",
            labels=("credential", "outcome"),
        )
        for identity, counts in list(self._counts.items()):
            for outcome, count in counts.outcomes():
                renewals.add_metric((identity, outcome), count)
        yield renewals
