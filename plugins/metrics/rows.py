"""Putting rows into a metric family."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Rows = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels, in their order, and the number."""

Kind = TypeVar("Kind", CounterMetricFamily, GaugeMetricFamily)


def filled(family: Kind, rows: Rows) -> Kind:
    """Return the family with a sample for each row."""
    for labels, value in rows:
        family.add_metric(labels, value)
    return family
