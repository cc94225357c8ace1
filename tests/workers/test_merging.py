"""Metrics of several processes as those of one."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric, SummaryMetricFamily

from proxy.plugin.metrics import MetricRegistry, written
from proxy.workers.merging import counted, known_to, merged


def counter(value: float, label: str = "a", created: float | None = None) -> Metric:
    family = CounterMetricFamily("seen", "Seen.", labels=["what"])
    family.add_metric([label], value, created=created)
    return family


def gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, "Now.", value)


def histogram(low: int, all_of_them: int) -> Metric:
    family = HistogramMetricFamily("took", "Took.", labels=["what"])
    family.add_metric(["a"], [("1.0", low), ("+Inf", all_of_them)], float(all_of_them))
    return family


def samples(families: list[Metric]) -> dict[str, float]:
    return {
        "".join([each.name, *(f"[{value}]" for value in each.labels.values())]): each.value
        for family in families
        for each in family.samples
    }


def test_counters_are_added_by_their_labels() -> None:
    found = samples(merged([[counter(1), counter(5, "b")], [counter(2)]]))
    assert found == {"seen_total[a]": 3, "seen_total[b]": 5}


def test_the_earliest_creation_stays() -> None:
    found = samples(merged([[counter(1, created=20.0)], [counter(2, created=10.0)]]))
    assert found == {"seen_total[a]": 3, "seen_created[a]": 10}


def test_histograms_are_added_bucket_by_bucket() -> None:
    found = samples(merged([[histogram(1, 2)], [histogram(10, 20)]]))
    assert found == {
        "took_bucket[a][1.0]": 11,
        "took_bucket[a][+Inf]": 22,
        "took_count[a]": 22,
        "took_sum[a]": 22,
    }


def test_gauges_are_added_but_those_that_say_the_same_everywhere() -> None:
    one = [gauge("open", 2), gauge("build_info", 1), gauge("loaded_timestamp_seconds", 10)]
    other = [gauge("open", 3), gauge("build_info", 1), gauge("loaded_timestamp_seconds", 12)]
    one, other = [*one, gauge("token_ttl_seconds", 7)], [*other, gauge("token_ttl_seconds", 5)]
    found = samples(merged([one, other]))
    assert found == {
        "open": 5,
        "build_info": 1,
        "loaded_timestamp_seconds": 12,
        "token_ttl_seconds": 5,
    }


def test_summaries_are_added() -> None:
    family = SummaryMetricFamily("size", "Size.", count_value=2, sum_value=10.0)
    assert samples(merged([[family], [family]])) == {"size_count": 4, "size_sum": 20}


def test_the_sums_leave_the_parts_as_they_were() -> None:
    one, other = counter(1), counter(2)
    merged([[one], [other]])
    assert samples([one]) == {"seen_total[a]": 1}


def test_of_the_dead_only_what_grows_is_kept_and_only_while_others_have_it() -> None:
    dead = counted([counter(1), gauge("open", 2), histogram(1, 2)])
    assert [family.name for family in dead] == ["seen", "took"]
    assert [family.name for family in known_to(dead, [counter(9)])] == ["seen"]


def test_what_is_written_is_what_a_registry_would_write() -> None:
    registry = MetricRegistry()
    registry.counter("seen", "Seen.", ["what"]).labels("a").inc(3)
    registry.histogram("took", "Took.", buckets=[1.0]).observe(0.5)
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        assert written(merged([registry.families()]), accept) == registry.expose(accept)
