"""docs/operations.md: its table of metrics is what a scrape has, its states are those there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.samples import Sample

from proxy.runtime.retrying import AGAIN
from tests.functional.scraping import Scrape
from tests.ops.promql import Series

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
ROW = re.compile(r"^\| `(brain_\w+)` \| ([\w, ]*) ?\| (\w+) \| (.+) \|$", re.MULTILINE)
HISTOGRAM = re.compile(r"_(?:bucket|sum|count)$")


def documented() -> dict[str, tuple[set[str], str]]:
    """Return labels and kind of each metric of the table."""
    rows = ROW.findall(PAGE)
    names = [name for name, *_ in rows]
    assert len(set(names)) == len(names)
    return {name: (set(re.findall(r"\w+", labels)), kind) for name, labels, kind, _ in rows}


def shown(scraped: Scrape) -> Iterator[tuple[str, Sample]]:
    """Yield the samples of the gateway's own, a histogram's under the name of all of it."""
    histograms = {
        each.name.removesuffix("_bucket") for each in scraped.samples if "le" in each.labels
    }
    for sample in scraped.samples:
        base = HISTOGRAM.sub("", sample.name)
        if sample.name.startswith("brain_"):
            yield (base if base in histograms else sample.name), sample


def kind(name: str, sample: Sample) -> str:
    if name != sample.name:
        return "histogram"
    return "counter" if name.endswith("_total") else "gauge"


async def test_the_table_has_every_metric_with_its_labels_and_no_other(scraped: Scrape) -> None:
    found: dict[str, tuple[set[str], str]] = {}
    for name, sample in shown(scraped):
        labels, _ = found.setdefault(name, (set(), kind(name, sample)))
        labels |= sample.labels.keys() - {"le"}
    assert documented() == found


def test_every_metric_that_the_page_speaks_of_is_in_the_table() -> None:
    assert set(re.findall(r"`(brain_\w+)`", PAGE)) == documented().keys()


async def test_every_state_of_a_target_is_explained(scraped: Scrape) -> None:
    section = PAGE.partition("## States of a target")[2].partition("\n## ")[0]
    explained = set(re.findall(r"^\| ([\w-]+) \|", section, re.MULTILINE)) - {"state"}
    assert explained == Series(scraped).values["state"] - {"active", "idle"}


def test_every_reason_of_a_retry_is_named() -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| `brain_retries_total`"))
    for reason in AGAIN:
        assert reason in row


async def test_the_processs_own_metrics_that_it_names_are_there(scraped: Scrape) -> None:
    assert set(re.findall(r"`(process_\w+)`", PAGE)) <= scraped.names()


def test_links_inside_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= anchors
    for page in re.findall(r"\]\(([\w./-]+\.md)", PAGE):
        assert (ROOT / "docs" / page).is_file()
