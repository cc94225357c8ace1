"""ops/alerts.yml: each rule asks for what a gateway shows, and names a page that says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from proxy.units import parse_duration
from tests.functional.scraping import Scrape
from tests.ops.promql import OF_PROMETHEUS, Series, answered, named_in_templates, troubles

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "ops" / "alerts.yml").read_text())
RULES: list[dict[str, Any]] = [rule for group in FILE["groups"] for rule in group["rules"]]
PAGE = (ROOT / "docs" / "operations.md").read_text()

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


def sections() -> dict[str, str]:
    """Return the text below each heading of the page, by its anchor."""
    _, *parts = re.split(r"^#+ (.+)$", PAGE, flags=re.MULTILINE)
    names = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in parts[::2]]
    assert len(set(names)) == len(names), "two headings have one anchor"
    return dict(zip(names, parts[1::2], strict=True))


@each_rule
async def test_an_expression_names_what_a_scrape_has(rule: dict[str, Any], scraped: Scrape) -> None:
    series = Series(scraped)
    assert troubles(rule["expr"], series) == []
    wanted = named_in_templates(rule["annotations"].values())
    assert wanted <= answered(promql.parse(rule["expr"]), series) | OF_PROMETHEUS


@each_rule
def test_a_rule_has_all_that_whoever_is_woken_needs(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["summary"][-1] != "."
    if "for" in rule:
        assert parse_duration(rule["for"]) >= 60


@each_rule
def test_its_runbook_is_a_section_that_says_see_check_and_do(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/operations.md"
    text = sections()[anchor]
    for word in ("**See**", "**Check**", "**Do**"):
        assert word in text


def test_each_alert_is_there_once_and_no_section_is_for_none() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    about = {rule["annotations"]["runbook"].partition("#")[2] for rule in RULES}
    assert {anchor for anchor in sections() if anchor.startswith("brain")} == about
