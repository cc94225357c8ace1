"""The process that loads: its own modules, its own pipe, and an end that is told."""

from __future__ import annotations

import logging
import os
import textwrap
from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.runtime.loading import load_in_child

GOOD = "version: 1\nservices:\n  echo: {upstream: 'http://127.0.0.1:9', public: true}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a good file in it; `plugin_of_mine` is importable below `path`."""
    (tmp_path / "routes.yaml").write_text(GOOD)
    (tmp_path / "path").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    return tmp_path


def plugin(folder: Path, text: str) -> None:
    (folder / "path" / "plugin_of_mine.py").write_text(
        textwrap.dedent(text) + "\nfrom proxy import Plugin\nclass Mine(Plugin):\n    pass\n"
    )
    with (folder / "routes.yaml").open("a") as file:
        file.write("plugins: [{use: 'plugin_of_mine:Mine', as: mine}]\n")


@pytest.mark.parametrize("name", ["proxy", "plugins", "yaml"])
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
async def test_what_lies_in_the_working_directory_is_not_imported(
    folder: Path, name: str, form: str
) -> None:
    stray = folder / form.format(name)
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("raise SystemExit('imported from the working directory')\n")
    config, _ = await load_in_child(["routes.yaml"], {})
    assert [service.name for service in config.services] == ["echo"]


async def test_a_plugin_that_prints_at_its_import_spoils_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin(folder, "import os\nprint('hello from', 'a plugin', flush=True)\nos.write(1, b'raw\\n')")
    config, _ = await load_in_child(["routes.yaml"], {})
    assert [entry.identity for entry in config.entries] == ["mine"]
    [record] = [record for record in caplog.records if record.name == "brain.reload"]
    assert record.levelno == logging.WARNING
    assert record.excerpt.split() == ["hello", "from", "a", "plugin", "raw"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("end", "how"),
    [("os._exit(7)", "exit status 7"), ("os.kill(os.getpid(), 9)", "signal SIGKILL")],
)
async def test_how_it_died_is_told_and_its_last_words_are_logged(
    folder: Path,
    end: str,
    how: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    plugin(folder, f"import os\nos.write(2, b'last words')\n{end}")
    with pytest.raises(ConfigError, match=f"^the loading process died: {how}: last words$"):
        await load_in_child(["routes.yaml"], dict(os.environ))
    assert any(getattr(record, "excerpt", "") == "last words" for record in caplog.records)
    assert "last words" not in capfd.readouterr().err
