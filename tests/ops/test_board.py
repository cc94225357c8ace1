"""ops/grafana-board.json: it can be imported, and asks for what a gateway shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from tests.functional.scraping import Scrape
from tests.ops.promql import Series, answered, named_in_templates, troubles

ROOT = Path(__file__).parents[2]
BOARD = json.loads((ROOT / "ops" / "grafana-board.json").read_text())
PANELS: list[dict[str, Any]] = BOARD["panels"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]
VARIABLES = {each["name"]: each for each in BOARD["templating"]["list"]}

BUILT_IN = {"__rate_interval": "5m", "__all": ""}
"""What Grafana itself puts in."""


def filled(expression: str) -> str:
    """Return an expression as Grafana sends it with "All" chosen."""
    values = {**BUILT_IN, **{name: each.get("allValue", "") for name, each in VARIABLES.items()}}
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)


def asked() -> Iterator[tuple[str, str, str]]:
    """Yield title, expression and legend of each thing that the board asks for."""
    for panel in GRAPHS:
        yield from (
            (panel["title"], each["expr"], each["legendFormat"]) for each in panel["targets"]
        )
    for each in BOARD["annotations"]["list"]:
        yield each["name"], each["expr"], each["textFormat"]


@pytest.mark.parametrize(
    ("expression", "legend"),
    [row[1:] for row in asked()],
    ids=[f"{title}-{legend}" for title, _, legend in asked()],
)
async def test_an_expression_names_what_a_scrape_has(
    expression: str, legend: str, scraped: Scrape
) -> None:
    series = Series(scraped)
    assert troubles(filled(expression), series) == []
    assert named_in_templates([legend]) <= answered(promql.parse(filled(expression)), series)


def test_each_variable_asks_for_labels_that_there_are_and_is_used() -> None:
    text = json.dumps(BOARD)
    for name in VARIABLES:
        assert f"${name}" in text or f"${{{name}}}" in text
    used = {one or other for one, other in re.findall(r"\$(?:\{(\w+)\}|(\w+))", text)}
    assert used <= {*VARIABLES, *BUILT_IN}


async def test_the_lists_of_variables_are_of_series_that_there_are(scraped: Scrape) -> None:
    series = Series(scraped)
    for each in VARIABLES.values():
        if each["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", each["query"]["query"])
            assert found is not None
            assert found[2] in series.labels[found[1]] | {"instance"}


def sources(part: Any) -> Iterator[Any]:
    """Yield what each part of the board reads from."""
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key == "datasource")
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from sources(each)


def test_it_reads_from_the_source_that_is_chosen_and_no_other() -> None:
    assert "__inputs" not in BOARD
    found = list(sources(BOARD))
    assert len(found) > len(GRAPHS)
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in found)
    assert VARIABLES["datasource"]["type"] == "datasource"


def test_it_has_a_row_for_each_question() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == [
        "Traffic",
        "Errors by code",
        "Latency",
        "Upstreams and targets",
        "Retries, splits and mirrors",
        "Process",
        "Rate limits",
        "Secrets",
    ]


def test_panels_have_their_own_ids_and_places_and_say_what_they_show() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    for panel in GRAPHS:
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        assert not _overlap(one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not beside and not below


async def test_every_metric_is_on_the_board_or_is_left_out_for_a_reason(scraped: Scrape) -> None:
    """What is collected and never looked at is a question that nobody can answer at night."""
    base = re.compile(r"_(?:bucket|sum|count)$")
    shown = {base.sub("", name) for name in re.findall(r"\bbrain_\w+", json.dumps(BOARD))}
    there = {base.sub("", name) for name in scraped.names() if name.startswith("brain_")}
    # A bound that is `queue` of the file, beside what waits.
    assert there - shown == {"brain_upstream_waiting_limit"}
