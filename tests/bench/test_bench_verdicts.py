"""Quartiles, verdicts and the report: pure functions."""

import pytest

from bench import report
from bench.bounds import Bound, Verdict
from bench.measure import Sample
from bench.quartiles import Quartiles
from bench.section import Section, Table
from bench.settings import FULL, QUICK

BOUND = Bound("cost", 1.0, "ms", aim=0.5)


def _sample(cpu: float, requests: int) -> Sample:
    return Sample(cpu, 1.0, requests, requests * 2**20, 100.0, 300.0, 1)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([0.9, 0.9, 1.1], "reached"),
        ([0.8, 1.2, 1.2, 1.2, 1.2], "**missed**"),
        ([0.9, 0.9, 0.9, 1.2, 1.2], "reached"),
        ([1.0], "reached"),
        ([1.01], "**missed**"),
        ([], "not measured"),
    ],
)
def test_a_miss_is_a_lower_quartile_over_the_bound(values: list[float], word: str) -> None:
    assert Verdict.of(BOUND, values).word == word


def test_quartiles_of_one_value_are_that_value() -> None:
    assert Quartiles.of([3.0]).show() == "3.00"
    assert Quartiles.of([1.0, 2.0, 3.0]).show(1) == "2.0 (1.5 to 2.5)"


def test_both_halves_of_a_round_count_by_their_requests() -> None:
    joined = Sample.joined([_sample(1.0, 1000), _sample(2.0, 2000)])
    assert joined.cpu_us_per_request == pytest.approx(1000.0)
    assert joined.cpu_us_per_mib == pytest.approx(1000.0)
    assert joined.errors == 2


def test_a_proxy_that_answered_nothing_is_not_cheap() -> None:
    assert _sample(1.0, 0).cpu_us_per_request == float("inf")


def test_the_report_shows_bounds_notes_tables_and_machine() -> None:
    section = Section("A title", ["A note."], [Table(["x"], [["1"]])], [Verdict.of(BOUND, [0.4])])
    text = report.render([("cores", "2")], FULL, [section])
    for part in ("| cost | ≤ 1 ms | 0.5 | 0.40 | reached |", "## A title", "A note.", "| 1 |"):
        assert part in text
    assert "quick" not in text
    assert "A quick run" in report.render([], QUICK, [])
