"""What prometheus-client calls at a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from plugins.metrics.series import Store
from plugins.metrics.state import state
from plugins.metrics.traffic import traffic
from proxy import GatewayStatus

Source = Callable[[], GatewayStatus]


class GatewayCollector(Collector):
    """Makes families of the store's series and of the gateway's status, anew at every scrape.

    What the system tells of the process (CPU, memory, descriptors) is among them.

    It is one for all instances of the plugin and outlives a reload; the status comes from the
    instance that was set up last and is not closed. With none left it yields nothing.
    """

    def __init__(self) -> None:
        self.store = Store()
        self._sources: list[Source] = []
        self._process = ProcessCollector(registry=None)

    def attach(self, source: Source) -> None:
        self._sources.append(source)

    def detach(self, source: Source) -> None:
        self._sources = [each for each in self._sources if each != source]

    def collect(self) -> Iterator[Metric]:
        sources = self._sources[-1:]
        for source in sources:
            yield from traffic(self.store)
            yield from state(source())
            yield from self._process.collect()
