"""Plugins that can't be imported: what is said, with the place in their source."""

import sys
from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.plugin.catalog import Catalog


def refusal(reference: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Catalog(()).use(reference)
    return caught.value


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "said", "line"),
    [
        ("import sys\n\nsys.exit(3)\n", "SystemExit: 3", 3),
        ("import re\nre.compile('[')\n", "error: unterminated character set at position 0", 2),
        ("\nimport nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'", 2),
        ("x = 1\ny = \n", "SyntaxError: invalid syntax", 2),
    ],
)
def test_an_import_that_fails_names_the_place_in_the_plugins_source(
    folder: Path, source: str, said: str, line: int
) -> None:
    (folder / "broken_plugin.py").write_text(source)
    error = refusal("broken_plugin:Thing")
    place = folder / "broken_plugin.py"
    assert str(error) == f"can't import 'broken_plugin:Thing': {said} ({place}:{line})"
    assert error.hint is None


def test_the_innermost_place_of_a_package_is_named(folder: Path) -> None:
    package = folder / "broken_package"
    package.mkdir()
    (package / "__init__.py").write_text("from broken_package import inner\n")
    (package / "inner.py").write_text("def f():\n    1 / 0\n\nf()\n")
    assert str(refusal("broken_package:Thing")).endswith(f"({package / 'inner.py'}:2)")


def test_an_interrupt_at_import_is_not_swallowed(folder: Path) -> None:
    (folder / "interrupted_plugin.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        Catalog(()).use("interrupted_plugin:Thing")


@pytest.mark.parametrize("reference", ["nowhere_at_all:Thing", "nowhere_at_all.inner:Thing"])
def test_a_module_that_is_not_there_gets_a_remedy(reference: str) -> None:
    error = refusal(reference)
    assert error.hint == "install it, or set PYTHONPATH to its folder"
    assert str(error).endswith("No module named 'nowhere_at_all'")


def test_a_name_that_a_module_lacks_is_told_without_one(folder: Path) -> None:
    (folder / "empty_plugin.py").write_text("")
    error = refusal("empty_plugin:Thing")
    assert "has no attribute 'Thing'" in str(error)
    assert error.hint is None
