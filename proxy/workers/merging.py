"""The metrics of several processes as those of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

COUNTED = frozenset({"counter", "histogram", "summary"})
"""Kinds of families that only grow: of a worker that ended, these are kept."""

_GREATEST = ("_info", "_timestamp_seconds", "brain_snapshots")
"""How the names of gauges end of which a sum would mean nothing."""

_LEAST = "_ttl_seconds"
"""How the names of gauges end of which the least counts: the first of what will end."""

_EARLIEST = ("_created", "_start_time_seconds")
"""How the names of samples end that say since when: the gateway's age is that of its oldest process."""

Key = tuple[str, tuple[tuple[str, str], ...]]
Rows = dict[Key, Sample]


def merged(processes: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Return each family once, its samples of the same labels added up.

    Counters, histograms and gauges are sums. The greatest counts for gauges whose names end in
    `_info` or `_timestamp_seconds`, for `brain_snapshots`, for info and state sets, and for a
    summary's quantiles; the earliest for `_created` and `_start_time_seconds`, the least for
    `_ttl_seconds`.
    """
    families: dict[str, tuple[Metric, Rows]] = {}
    for process in processes:
        for family in process:
            known = families.get(family.name)
            if known is None:
                known = families[family.name] = (family, {})
            _add(known[0], known[1], family.samples)
    return [_filled(family, rows) for family, rows in families.values()]


def counted(families: Iterable[Metric]) -> list[Metric]:
    """Return the families that only grow."""
    return [family for family in families if family.type in COUNTED]


def known_to(families: Iterable[Metric], others: Iterable[Metric]) -> Iterator[Metric]:
    """Yield those of `families` that are among `others` too."""
    names = {family.name for family in others}
    return (family for family in families if family.name in names)


def _add(family: Metric, rows: Rows, samples: Iterable[Sample]) -> None:
    for sample in samples:
        key = sample.name, tuple(sorted(sample.labels.items()))
        known = rows.get(key)
        if known is None:
            rows[key] = sample
        else:
            rows[key] = known._replace(value=_value(family, known, sample))


def _value(family: Metric, one: Sample, other: Sample) -> float:
    if one.name.endswith((*_EARLIEST, _LEAST)):
        return min(one.value, other.value)
    if _is_greatest(family, one):
        return max(one.value, other.value)
    return one.value + other.value


def _is_greatest(family: Metric, sample: Sample) -> bool:
    if family.type in ("info", "stateset"):
        return True
    if family.type == "summary":
        return "quantile" in sample.labels
    return family.type not in COUNTED and family.name.endswith(_GREATEST)


def _filled(family: Metric, rows: Rows) -> Metric:
    made = Metric(family.name, family.documentation, family.type, family.unit)
    made.samples = list(rows.values())
    return made


def of_parent(restarts: int, reloads: Mapping[str, int], *, stale: bool) -> list[Metric]:
    """Return the families of what the parent alone counts.

    The plugin `metrics` has them too: no worker reloads or restarts by itself, so there they are 0.
    """
    counts = CounterMetricFamily(
        "brain_reloads", "Loads of the configuration, by result.", labels=("result",)
    )
    for result in ("ok", "refused"):
        counts.add_metric((result,), reloads.get(result, 0))
    return [
        CounterMetricFamily(
            "brain_worker_restarts", "Worker processes that took the place of a dead one.", restarts
        ),
        counts,
        GaugeMetricFamily(
            "brain_config_stale",
            "1: the files were refused when they were last read, and an older revision serves.",
            stale,
        ),
    ]
