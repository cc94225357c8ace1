"""Every YAML block of the README and the docs loads as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.config.load import load
from proxy.plugin.catalog import Catalog

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"^# needs: (\S+)", re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(ROOT)}#{number}", block)
        for page in PAGES
        for number, block in enumerate(FENCE.findall(page.read_text()), 1)
    ]


@pytest.mark.parametrize(("name", "block"), blocks(), ids=[name for name, _ in blocks()])
def test_a_block_loads_or_is_refused_for_what_it_says_it_needs(
    name: str, block: str, tmp_path: Path
) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(block)
    loaded = load([file], environment={}, catalog=Catalog())
    needs = NEEDS.findall(block)
    assert loaded.failed == bool(needs), loaded.render()


def test_there_are_blocks_to_load() -> None:
    assert len(blocks()) >= 2
