"""Metric families of upstreams and their targets.

Targets are those of the file, or as many as a name has addresses: no client can add one. Where
several workers are added up, a gauge of 1 or 0 becomes the number of workers that see it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from plugins.metrics.rows import Kind, filled
from proxy import TargetStatus, UpstreamStatus

STATES = ("ok", "unhealthy", "ejected", "open", "half-open", "probing")

Upstreams = Sequence[UpstreamStatus]


def upstreams(found: Upstreams) -> Iterator[Metric]:
    """Yield what pools, health, breakers and budgets count."""
    yield from _pools(found)
    yield from _targets(found)


def _pools(found: Upstreams) -> Iterator[Metric]:
    yield filled(
        GaugeMetricFamily(
            "brain_upstream_connections",
            "Connections to an upstream: idle ones wait to be used again.",
            labels=("upstream", "state"),
        ),
        (
            ((each.name, name), count)
            for each in found
            for name, count in (("idle", each.idle), ("active", each.open - each.idle))
        ),
    )

    def each_one(
        kind: Callable[..., Kind], name: str, text: str, read: Callable[[UpstreamStatus], float]
    ) -> Kind:
        rows = (((one.name,), read(one)) for one in found)
        return filled(kind(name, text, labels=("upstream",)), rows)

    gauge, counter = GaugeMetricFamily, CounterMetricFamily
    yield each_one(
        gauge,
        "brain_upstream_in_flight",
        "Exchanges that have one of the upstream's slots.",
        lambda one: one.in_flight,
    )
    yield each_one(
        gauge,
        "brain_upstream_in_flight_limit",
        "Slots that there are: 'concurrent' of the file.",
        lambda one: one.concurrent,
    )
    yield each_one(
        gauge,
        "brain_upstream_waiting",
        "Exchanges that wait for a slot.",
        lambda one: one.waiting,
    )
    yield each_one(
        gauge,
        "brain_upstream_waiting_limit",
        "Exchanges that may wait for a slot: 'queue' of the file.",
        lambda one: one.queue,
    )
    yield each_one(
        gauge,
        "brain_upstream_panicking",
        "1: no target is well, so that all are asked.",
        lambda one: one.panicking,
    )
    yield each_one(
        counter,
        "brain_retries_refused",
        "Further attempts that were safe but over the budget.",
        lambda one: one.retries_refused,
    )


def _targets(found: Upstreams) -> Iterator[Metric]:
    targets = [(one.name, target) for one in found for target in one.targets]

    def each_one(
        kind: Callable[..., Kind], name: str, text: str, read: Callable[[TargetStatus], float]
    ) -> Kind:
        rows = (((upstream, one.name), read(one)) for upstream, one in targets)
        return filled(kind(name, text, labels=("upstream", "target")), rows)

    gauge, counter = GaugeMetricFamily, CounterMetricFamily
    yield each_one(
        gauge,
        "brain_target_up",
        "1: requests are sent to it; 0: health, ejection or its breaker keep them away.",
        lambda one: one.state == "ok",
    )
    yield filled(
        gauge(
            "brain_target_state",
            "1 for the state that a target is in, 0 for the others.",
            labels=("upstream", "target", "state"),
        ),
        (
            ((upstream, one.name, state), one.state == state)
            for upstream, one in targets
            for state in STATES
        ),
    )
    yield each_one(
        gauge, "brain_target_in_flight", "Exchanges under way with it.", lambda one: one.in_flight
    )
    yield each_one(
        counter,
        "brain_target_ejections",
        "How often its answers to requests had it left out.",
        lambda one: one.ejections,
    )
    yield each_one(
        counter,
        "brain_target_breaker_openings",
        "How often its breaker opened, after a failed probe too.",
        lambda one: one.openings,
    )
    yield filled(
        counter(
            "brain_target_health_checks",
            "Active health checks, by result.",
            labels=("upstream", "target", "result"),
        ),
        (
            ((upstream, one.name, result), count)
            for upstream, one in targets
            if one.checks_passed or one.checks_failed
            for result, count in (("passed", one.checks_passed), ("failed", one.checks_failed))
        ),
    )
