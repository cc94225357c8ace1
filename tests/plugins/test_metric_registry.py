"""The process's metrics, made once however often they are asked for."""

from collections.abc import Iterator

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from proxy import ConfigError
from proxy.plugin.metrics import MetricRegistry


class One(Collector):
    """Shows one number."""

    def __init__(self, number: float) -> None:
        self._number = number

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("one", "One number.", self._number)


def test_a_metric_is_made_once() -> None:
    registry = MetricRegistry()
    assert registry.counter("a", "A.", ["x"]) is registry.counter("a", "A.", ("x",))
    assert registry.gauge("b", "B.") is registry.gauge("b", "B.")
    assert registry.histogram("c", "C.") is registry.histogram("c", "C.", buckets=[1, 2])


def test_another_kind_or_other_labels_under_a_name_are_refused() -> None:
    registry = MetricRegistry()
    registry.counter("a", "A.", ["x"])
    with pytest.raises(ConfigError, match="'a' exists"):
        registry.gauge("a", "A.", ["x"])
    with pytest.raises(ConfigError, match="'a' exists"):
        registry.counter("a", "A.", ["y"])


@pytest.mark.parametrize(("name", "labels"), [("", []), ("a", ["__reserved"])])
def test_names_that_prometheus_refuses_are_refused(name: str, labels: list[str]) -> None:
    with pytest.raises(ConfigError, match="can't be made"):
        MetricRegistry().counter(name, "Text.", labels)


def test_a_collector_replaces_the_one_of_its_name() -> None:
    registry = MetricRegistry()
    registry.collector("some", One(1))
    registry.collector("some", One(2))
    assert registry.expose()[0].decode().endswith("\none 2.0\n")


def test_what_is_exposed_is_of_the_kind_that_was_asked_for() -> None:
    registry = MetricRegistry()
    assert registry.expose()[1].startswith("text/plain")
    body, kind = registry.expose("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept", ["text/plain;version=x", "application/openmetrics-text;version=a.b"]
)
def test_an_odd_accept_header_gets_plain_text(accept: str) -> None:
    assert MetricRegistry().expose(accept)[1].startswith("text/plain")


def test_two_registries_share_nothing() -> None:
    MetricRegistry().counter("a", "A.").inc()
    assert MetricRegistry().expose()[0] == b""
