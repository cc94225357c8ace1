"""The code of docs/plugin-authors.md is what these tests run, each plugin with its own tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "plugin-authors.md"
FILES = re.compile(r"^```python file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNNAMED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NAMES = [name for name, _ in FILES.findall(PAGE.read_text())]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """All files of the page, as an author has them."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name, text in FILES.findall(PAGE.read_text()):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_there_are_seven_plugins_and_one_more_each_with_a_test() -> None:
    plugins = [name for name in NAMES if "/test_" not in name]
    assert len(plugins) == 7 + 1
    assert {name.replace("/", "/test_") for name in plugins} == {*NAMES} - {*plugins}


@pytest.mark.timeout(180)
def test_all_of_them_pass(written: Path) -> None:
    strict = ["-W", "error", "-o", "asyncio_default_fixture_loop_scope=function"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *strict, "-p", "no:cacheprovider", "plugins.d"],
        cwd=written,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_they_are_formatted_and_linted_as_the_gateway_is(written: Path) -> None:
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    ignored = ["--ignore", "S101,S106,E501"]
    for command in (["format", "--check", *config], ["check", *config, *ignored]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "plugins.d"],
            cwd=written,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_blocks_without_a_file_compile() -> None:
    for block in UNNAMED.findall(PAGE.read_text()):
        compile(block, str(PAGE), "exec")
