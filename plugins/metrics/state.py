"""Metric families of the gateway itself: its status, as what a scrape reads."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from itertools import accumulate

import aiohttp
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from plugins.metrics.rows import filled
from plugins.metrics.secrets import secrets
from plugins.metrics.upstreams import upstreams
from proxy import GatewayStatus


def state(status: GatewayStatus) -> Iterator[Metric]:
    """Yield what the gateway counts itself."""
    yield from _numbers(status)
    yield from _bounds(status)
    yield from _lag(status)
    yield from upstreams(status.upstreams)
    yield from secrets(status)
    yield filled(
        CounterMetricFamily(
            "brain_retries",
            "Further attempts at an upstream, by reason.",
            labels=("upstream", "reason"),
        ),
        status.retries.items(),
    )
    yield from _shaped(status)
    yield filled(
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
        "brain_config_stale",
        "1: the files were refused when they were last read, and an older revision serves.",
        status.stale,
    )
    # With several workers each has its own page, and the sums are told: see proxy.workers.
    yield GaugeMetricFamily("brain_workers", "Processes that serve.", 1)
    yield CounterMetricFamily(
        "brain_worker_restarts", "Worker processes that took the place of a dead one.", 0
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


def _bounds(status: GatewayStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "brain_client_connections_limit",
        "Connections of clients that may be open; more are refused.",
        status.most_connections,
    )
    yield GaugeMetricFamily(
        "brain_requests_in_flight_limit",
        "Requests that may be served at once; more are answered 503, code overloaded.",
        status.most_in_flight,
    )
    if status.certificate_expires is not None:
        yield GaugeMetricFamily(
            "brain_tls_certificate_expiry_timestamp_seconds",
            "When the public listener's certificate ends, in seconds since 1970.",
            status.certificate_expires,
        )


def _lag(status: GatewayStatus) -> Iterator[Metric]:
    lag = status.lag
    if lag is None:
        return
    bounds = (floatToGoString(bound) for bound in (*lag.bounds, math.inf))  # type: ignore[no-untyped-call]
    buckets = list(zip(bounds, accumulate(lag.counts), strict=True))
    yield HistogramMetricFamily(
        "brain_event_loop_lag_seconds",
        "How late the event loop was, looked at ten times a second.",
        buckets,
        lag.total,
    )


def _shaped(status: GatewayStatus) -> Iterator[Metric]:
    yield filled(
        CounterMetricFamily(
            "brain_split_requests",
            "Exchanges of services with 'split' that are over, by the upstream that was chosen.",
            labels=("service", "upstream", "status_class"),
        ),
        status.split.items(),
    )
    yield filled(
        CounterMetricFamily(
            "brain_mirror_requests",
            "Copies for 'mirror', sent or skipped, by what came of them.",
            labels=("service", "result"),
        ),
        status.mirrored.items(),
    )


def _information(status: GatewayStatus) -> Iterator[Metric]:
    yield filled(
        GaugeMetricFamily(
            "brain_config_revision_info",
            "Always 1: the label names the configuration that serves.",
            labels=("revision",),
        ),
        [((status.revision,), 1)],
    )
    yield filled(
        GaugeMetricFamily(
            "brain_build_info",
            "Always 1: the labels name the versions that run.",
            labels=("version", "python", "aiohttp"),
        ),
        [((status.version, platform.python_version(), aiohttp.__version__), 1)],
    )
