"""Metric families of the traffic: from series to what a scrape reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from plugins.metrics.series import Distribution, RouteSeries, Store

Names = tuple[str, str]
Routes = list[tuple[Names, RouteSeries]]

_ROUTE = ("route", "service")


def traffic(store: Store) -> Iterator[Metric]:
    """Yield what was counted on the way of requests."""
    routes = list(store.routes.items())
    yield _requests(routes)
    yield _in_flight(store)
    yield _histogram(
        "brain_request_duration_seconds",
        "From a request's head to the end of its answer, streams and tunnels included.",
        ((names, series.duration) for names, series in routes),
    )
    yield _histogram(
        "brain_time_to_first_byte_seconds",
        "From a request's head to the head of its answer.",
        ((names, series.first_byte) for names, series in routes),
    )
    yield _bytes("request", "Bytes of bodies from clients.", routes, lambda each: each.received)
    yield _bytes("response", "Bytes of bodies to clients.", routes, lambda each: each.sent)


def _requests(routes: Routes) -> Metric:
    family = CounterMetricFamily(
        "brain_requests",
        "Exchanges that are over; code is the error's, empty where there was none.",
        labels=(*_ROUTE, "method", "status_class", "code"),
    )
    for names, series in routes:
        for (method, digit, code), count in list(series.answered.items()):
            status_class = f"{digit}xx" if digit else "none"
            family.add_metric((*names, method, status_class, code), count)
    return family


def _in_flight(store: Store) -> Metric:
    family = GaugeMetricFamily(
        "brain_requests_in_flight", "Exchanges that are not over.", labels=("service",)
    )
    for service, gauge in list(store.in_flight.items()):
        family.add_metric((service,), gauge.value)
    return family


def _histogram(name: str, text: str, rows: Iterable[tuple[Names, Distribution]]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=_ROUTE)
    for names, distribution in rows:
        family.add_metric(names, list(distribution.cumulative()), distribution.total)
    return family


def _bytes(what: str, text: str, routes: Routes, read: Callable[[RouteSeries], int]) -> Metric:
    family = CounterMetricFamily(f"brain_{what}_bytes", text, labels=_ROUTE)
    for names, series in routes:
        family.add_metric(names, read(series))
    return family
