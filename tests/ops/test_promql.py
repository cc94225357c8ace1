"""The reader of expressions itself: what it must find wrong, so that the others prove something."""

from __future__ import annotations

import promql_parser as promql
import pytest
from prometheus_client.samples import Sample

from tests.functional.scraping import Scrape
from tests.ops.promql import Series, answered, troubles

SERIES = Series(
    Scrape(
        [
            Sample("requests_total", {"service": "shop", "code": "", "state": "open"}, 1),
            Sample("slots", {"upstream": "shop"}, 1),
            Sample("slots_limit", {"upstream": "shop"}, 1),
            Sample("lag_seconds_bucket", {"le": "1"}, 1),
        ]
    )
)


@pytest.mark.parametrize(
    "expression",
    [
        "slots / slots_limit > 0.5",
        'sum by (service) (rate(requests_total{code!="", state=~"open"}[5m])) > 0',
        'rate(requests_total{code=~"upstream_.*|overloaded"}[5m])',
        "histogram_quantile(0.9, sum by (instance, le) (rate(lag_seconds_bucket[5m])))",
        "slots * on (upstream) slots_limit",
        'up{job="brain-gateway"} == 0 or absent(up{job="brain-gateway"})',
    ],
)
def test_what_is_there_is_in_order(expression: str) -> None:
    assert troubles(expression, SERIES) == []


@pytest.mark.parametrize(
    ("expression", "trouble"),
    [
        ("nothing > 0", "no metric nothing"),
        ('slots{service="shop"}', "slots has no label service"),
        ('requests_total{code="no_such"}', "code is never 'no_such'"),
        ('requests_total{code=~"no_route|no_such"}', "code is never like 'no_such'"),
        ('requests_total{state="shut"}', "state is never 'shut'"),
        ("sum by (service) (slots)", "nothing to group by: service"),
        ("slots / on (service) slots_limit", "nothing to match by: service"),
        (
            "slots / requests_total",
            "the sides have other labels: ['code', 'service', 'state', 'upstream']",
        ),
        (
            "sum by (upstream) (slots) / slots_limit",
            "the sides have other labels: ['instance', 'job']",
        ),
    ],
)
def test_what_is_not_there_is_told(expression: str, trouble: str) -> None:
    assert trouble in troubles(expression, SERIES)


@pytest.mark.parametrize(
    "expression", ["rate(slots)", "sum by (", "slots >", "rate(slots[5m]", "nosuch(slots)"]
)
def test_what_is_no_promql_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        troubles(expression, SERIES)


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("slots", {"upstream", "job", "instance"}),
        ("sum(slots)", set()),
        ("sum without (job) (slots)", {"upstream", "instance"}),
        ("topk(3, slots)", {"upstream", "job", "instance"}),
        ("histogram_quantile(0.9, sum by (le) (rate(lag_seconds_bucket[5m])))", set()),
        ("slots / on (upstream) slots_limit", {"upstream"}),
        ('absent(up{job="x"})', {"job"}),
        ("1 - slots", {"upstream", "job", "instance"}),
    ],
)
def test_it_knows_with_which_labels_an_expression_answers(
    expression: str, labels: set[str]
) -> None:
    assert answered(promql.parse(expression), SERIES) == labels
