"""Metric families of the stores of secrets. Labels name a store, and never a path or a tenant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from plugins.metrics.rows import Kind, filled
from proxy import GatewayStatus


def secrets(status: GatewayStatus) -> Iterator[Metric]:
    """Yield what the file's stores were asked, what is kept of them, and how their tokens fare."""
    if not status.secrets:
        return
    yield filled(
        CounterMetricFamily(
            "brain_secret_reads",
            "Questions to a store of secrets, by what came of them.",
            labels=("store", "outcome"),
        ),
        (
            ((store.name, outcome), count)
            for store in status.secrets
            for outcome, count in store.asked.items()
        ),
    )
    yield _seconds(status)
    yield from _kept(status)
    yield from _tokens(status)


def _seconds(status: GatewayStatus) -> Metric:
    family = HistogramMetricFamily(
        "brain_secret_read_seconds", "How long a store took to answer.", labels=("store",)
    )
    for store in status.secrets:
        bounds = [floatToGoString(bound) for bound in (*store.bounds, math.inf)]  # type: ignore[no-untyped-call]
        buckets = list(zip(bounds, accumulate(store.counts), strict=True))
        family.add_metric((store.name,), buckets, store.total)
    return family


def _kept(status: GatewayStatus) -> Iterator[Metric]:
    stores = status.secrets
    yield _each(
        GaugeMetricFamily,
        "brain_secret_store_up",
        "1: the store is to be had, as far as the gateway knows.",
        {store.name: float(store.up) for store in stores},
    )
    yield _each(
        GaugeMetricFamily,
        "brain_secret_paths",
        "Paths of a store that something is kept of.",
        {store.name: store.paths for store in stores},
    )
    yield _each(
        GaugeMetricFamily,
        "brain_secret_leases",
        "Secrets that were made for the gateway, and end with their lease.",
        {store.name: store.leases for store in stores},
    )


def _tokens(status: GatewayStatus) -> Iterator[Metric]:
    """Yield what there is of stores that have a token of their own."""
    stores = status.secrets
    yield _each(
        GaugeMetricFamily,
        "brain_secret_token_ttl_seconds",
        "Seconds that the gateway's token is still good for; no sample for one without end.",
        {store.name: store.token_left for store in stores},
    )
    yield _each(
        CounterMetricFamily,
        "brain_secret_logins",
        "Logins to a store, the refused ones not among them.",
        {store.name: store.logins for store in stores},
    )
    yield _each(
        CounterMetricFamily,
        "brain_secret_token_renewals",
        "How often the gateway's token got more time.",
        {store.name: store.renewals for store in stores},
    )


def _each(kind: Callable[..., Kind], name: str, text: str, values: dict[str, float | None]) -> Kind:
    rows = (((store,), value) for store, value in values.items() if value is not None)
    return filled(kind(name, text, labels=("store",)), rows)
