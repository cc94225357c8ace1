"""Metric families of the gateway itself: its status, as what a scrape reads."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from typing import TypeVar

import aiohttp
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from proxy import GatewayStatus

Rows = Iterable[tuple[tuple[str, ...], float]]
F = TypeVar("F", CounterMetricFamily, GaugeMetricFamily)


def state(status: GatewayStatus) -> Iterator[Metric]:
    """Yield what the gateway counts itself."""
    yield from _numbers(status)
    yield from _upstreams(status)
    yield _filled(
        CounterMetricFamily(
            "brain_retries",
            "Further attempts at an upstream, by reason.",
            labels=("upstream", "reason"),
        ),
        status.retries.items(),
    )
    yield from _shaped(status)
    yield _filled(
        CounterMetricFamily(
            "brain_reloads", "Loads of the configuration, by result.", labels=("result",)
        ),
        (((result,), count) for result, count in status.reloads.items()),
    )
    yield from _information(status)


def _numbers(status: GatewayStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "brain_config_loaded_timestamp_seconds",
        "When the configuration that serves was loaded, in seconds since 1970.",
        status.loaded_at,
    )
    yield GaugeMetricFamily(
        "brain_snapshots",
        "Snapshots alive: above 1, old ones still finish their exchanges.",
        status.snapshots,
    )
    yield CounterMetricFamily(
        "brain_plugin_task_deaths", "Background tasks of plugins that died.", status.task_deaths
    )
    yield GaugeMetricFamily(
        "brain_client_connections", "Connections of clients that are open.", status.connections
    )


def _upstreams(status: GatewayStatus) -> Iterator[Metric]:
    yield _filled(
        GaugeMetricFamily(
            "brain_upstream_connections",
            "Connections to an upstream: idle ones wait to be used again.",
            labels=("upstream", "state"),
        ),
        (
            ((each.name, name), count)
            for each in status.upstreams
            for name, count in (("idle", each.idle), ("active", each.open - each.idle))
        ),
    )
    yield _filled(
        GaugeMetricFamily(
            "brain_upstream_waiting", "Exchanges that wait for a connection.", labels=("upstream",)
        ),
        (((each.name,), each.waiting) for each in status.upstreams),
    )


def _shaped(status: GatewayStatus) -> Iterator[Metric]:
    yield _filled(
        CounterMetricFamily(
            "brain_split_requests",
            "Exchanges of services with 'split' that are over, by the upstream that was chosen.",
            labels=("service", "upstream", "status_class"),
        ),
        status.split.items(),
    )
    yield _filled(
        CounterMetricFamily(
            "brain_mirror_requests",
            "Copies for 'mirror', sent or skipped, by what came of them.",
            labels=("service", "result"),
        ),
        status.mirrored.items(),
    )


def _information(status: GatewayStatus) -> Iterator[Metric]:
    yield _filled(
        GaugeMetricFamily(
            "brain_config_revision_info",
            "Always 1: the label names the configuration that serves.",
            labels=("revision",),
        ),
        [((status.revision,), 1)],
    )
    yield _filled(
        GaugeMetricFamily(
            "brain_build_info",
            "Always 1: the labels name the versions that run.",
            labels=("version", "python", "aiohttp"),
        ),
        [((status.version, platform.python_version(), aiohttp.__version__), 1)],
    )


def _filled(family: F, rows: Rows) -> F:
    for labels, value in rows:
        family.add_metric(labels, value)
    return family
