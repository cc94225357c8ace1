"""`brain plugin`: what it writes works as it stands, what it lists is what there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy import testing
from proxy.plugin import options
from proxy.plugin.catalog import Catalog
from proxy.scaffold import NewPlugin, dropin
from proxy.scaffold.options import page as options_page
from proxy.scaffold.reference import reference

ROOT = Path(__file__).parents[2]


def brain(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def pytest_in(folder: Path, *arguments: str) -> str:
    """Run an author's tests as an author does, warnings being errors. Return what it printed."""
    strict = ["-W", "error", "-o", "asyncio_default_fixture_loop_scope=function"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *strict, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_drop_in_passes_its_tests_and_is_served(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    made = brain(tmp_path, "plugin", "new", "rate-card")
    assert made.returncode == 0, made.stderr
    assert made.stdout.split() == ["plugins.d/rate_card.py", "plugins.d/test_rate_card.py"]
    assert "plugins_dir: plugins.d" in made.stderr
    assert "3 passed" in pytest_in(tmp_path, "plugins.d")
    (tmp_path / "routes.yaml").write_text(
        "version: 1\nplugins_dir: plugins.d\nplugins: [{rate-card: {value: good day}}]\n"
        "services: {a: {upstream: http://a, public: true}}\n"
    )
    assert brain(tmp_path, "check").returncode == 0
    listed = brain(tmp_path, "plugin", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    (row,) = [row for row in json.loads(listed.stdout) if row["name"] == "rate-card"]
    assert (row["version"], row["stage"]) == (None, "transform")
    assert row["from"].endswith("plugins.d/rate_card.py")
    assert row["options"]["value"]["default"] == "hello"


def test_a_new_package_passes_its_tests_and_can_be_built(tmp_path: Path) -> None:
    made = brain(tmp_path, "plugin", "new", "rate-card", "--package")
    assert made.returncode == 0, made.stderr
    top = tmp_path / "brain-rate-card"
    assert "4 passed" in pytest_in(top)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "."],
        cwd=top,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    assert list(top.glob("brain_rate_card-0.1.0-*.whl"))


def test_the_schema_of_a_file_has_the_plugins_of_its_folder(tmp_path: Path) -> None:
    assert brain(tmp_path, "plugin", "new", "rate-card").returncode == 0
    (tmp_path / "routes.yaml").write_text("version: 1\nplugins_dir: plugins.d\n")
    made = brain(tmp_path, "schema", "routes.yaml", "--plugins-only")
    assert "value" in json.loads(made.stdout)["properties"]["rate-card"]["properties"]
    assert "rate-card" not in json.loads(brain(tmp_path, "schema").stdout)["definitions"]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    assert brain(tmp_path, "plugin", "new", "a").returncode == 0
    (tmp_path / "plugins.d" / "a.py").write_text("mine")
    again = brain(tmp_path, "plugin", "new", "a")
    assert (again.returncode, again.stdout) == (1, "")
    assert "plugins.d/a.py is there already" in again.stderr
    assert (tmp_path / "plugins.d" / "a.py").read_text() == "mine"


@pytest.mark.parametrize("package", [(), ("--package",)])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("test-things", "is a test's file"),
        ("conftest", "is a test's file"),
        ("class", "a word of Python's own"),
        ("none", "a word of Python's own"),
        ("json", "another module 'json'"),
        ("proxy", "another module 'proxy'"),
        ("plugin", "its class would be called Plugin"),
        ("class-var", "its class would be called ClassVar"),
        ("request-id", "an installed plugin, from brain-gateway"),
    ],
)
def test_a_name_that_can_not_work_is_wrong_usage(
    tmp_path: Path, name: str, reason: str, package: tuple[str, ...]
) -> None:
    made = brain(tmp_path, "plugin", "new", name, *package)
    assert made.returncode == 2
    assert reason in " ".join(made.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_settings_of_pytest_gets_some_and_can_be_moved(tmp_path: Path) -> None:
    made = brain(tmp_path, "plugin", "new", "rate-card")
    assert "plugins.d/pytest.ini" in made.stdout.split()
    assert "pytest.ini" not in brain(tmp_path, "plugin", "new", "other").stdout
    moved = tmp_path / "moved"
    (tmp_path / "plugins.d").rename(moved)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "moved"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "6 passed" in done.stdout, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "text", "settings"),
    [
        ("pyproject.toml", "[tool.pytest.ini_options]\n", True),
        ("pyproject.toml", "[project]\n", False),
        ("tox.ini", "[pytest]\n", True),
        ("setup.cfg", "[tool:pytest]\n", True),
    ],
)
def test_a_projects_own_settings_of_pytest_are_left_in_force(
    tmp_path: Path, file: str, text: str, settings: bool
) -> None:
    (tmp_path / file).write_text(text)
    made = dropin(NewPlugin("rate-card"), tmp_path / "a" / "plugins.d")
    assert (tmp_path / "a" / "plugins.d" / "pytest.ini" not in made) == settings


@pytest.mark.parametrize("name", ["Rate", "rate_card", "-a", "a-", "a--b", "../a", "1a", ""])
def test_a_name_that_is_not_kebab_case_is_wrong_usage(tmp_path: Path, name: str) -> None:
    made = brain(tmp_path, "plugin", "new", "--", name)
    assert made.returncode == 2
    assert "write it as rate-card" in made.stderr
    assert list(tmp_path.iterdir()) == []


def test_names_follow_from_one() -> None:
    new = NewPlugin("rate-card-2")
    assert (new.module, new.class_name, new.header, new.distribution) == (
        "rate_card_2",
        "RateCard2",
        "Rate-Card-2",
        "brain-rate-card-2",
    )


def test_the_installed_ones_are_listed_with_version_stage_and_options(tmp_path: Path) -> None:
    listed = brain(tmp_path, "plugin", "list")
    assert listed.returncode == 0, listed.stderr
    head, *lines = listed.stdout.splitlines()
    assert head.split() == ["NAME", "VERSION", "STAGE", "FROM", "OPTIONS"]
    (line,) = [line for line in lines if line.startswith("request-id ")]
    assert line.split() == [
        "request-id",
        "0.1.0",
        "observe",
        "brain-gateway",
        'header="X-Request-Id"',
    ]


def test_a_broken_drop_in_is_told_and_the_installed_ones_are_listed(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "bad.py").write_text("undefined\n")
    (tmp_path / "routes.yaml").write_text("version: 1\nplugins_dir: own\n")
    listed = brain(tmp_path, "plugin", "list")
    assert "own/bad.py:1:1" in listed.stderr
    assert "request-id" in listed.stdout


def test_the_reference_is_made_of_the_docstrings() -> None:
    page = ROOT / "docs" / "plugin-reference.md"
    assert page.read_text() == reference(), "run: brain plugin reference > docs/plugin-reference.md"


def test_the_page_of_options_is_what_the_schemas_say() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    assert page == options_page(Catalog()), "run: brain plugin options > docs/plugins.md"
    for row in ('| `leeway` | `"30s"` |', "| `keys.name` | must be there |", "| `claims.tenant` |"):
        assert row in page


def test_options_of_one_plugin_are_printed_also_of_a_folder_of_ones_own(tmp_path: Path) -> None:
    assert brain(tmp_path, "plugin", "new", "rate-card").returncode == 0
    (tmp_path / "routes.yaml").write_text("version: 1\nplugins_dir: plugins.d\n")
    assert "| `value` |" in brain(tmp_path, "plugin", "options", "rate-card").stdout
    unknown = brain(tmp_path, "plugin", "options", "rate-cart")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "there is no plugin 'rate-cart'" in unknown.stderr


def test_the_reference_has_what_authors_need() -> None:
    page = reference()
    for form in options._FORMATS:
        assert f"| `{form}` |" in page
    for name in testing.__all__:
        assert f"## {name}\n" in page
    for member in ("- `route: RouteInfo`", "- `attempts: list[Attempt]`", "- `TRANSFORM = 6`"):
        assert member in page
    assert "`__init__(message: str, *, code: str='dependency_unavailable') -> None`" in page
