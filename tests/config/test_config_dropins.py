"""`plugins_dir`: which files are plugins, and how a broken one is told."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.plugin.catalog import Catalog

GOOD = """
from proxy import Plugin
class Greet(Plugin):
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"word": {"type": "string", "description": "What is said."}},
    }
    def __init__(self, word="hello"):
        self.word = word
"""

FILE = """version: 1
plugins_dir: own
plugins: [{greet: {word: good morning}}]
services: {a: {upstream: "http://a", public: true}}
"""


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(())


@pytest.fixture(autouse=True)
def _no_modules_left() -> Any:
    yield
    for name in [name for name in sys.modules if name.startswith("brain_dropins")]:
        del sys.modules[name]


def test_a_file_is_a_plugin_of_its_name_with_options_of_its_schema(write: Any) -> None:
    write.file("own/greet.py", GOOD)
    loaded = write.text(FILE)
    assert loaded.diagnostics == ()
    assert [entry.plugin for entry in loaded.config.entries] == ["greet"]
    assert [dropin.name for dropin in loaded.config.dropins] == ["greet"]
    assert write.errors(FILE.replace("word", "wrd")) == [
        "BG103 3:20 unknown key 'wrd' in plugin 'greet'"
    ]


def test_underscores_are_hyphens_in_yaml(write: Any) -> None:
    write.file("own/good_day.py", GOOD)
    assert write.errors(FILE.replace("greet:", "good-day:")) == []
    assert "did you mean 'good-day'?" in write.text(FILE.replace("greet:", "good_day:")).render()


def test_a_file_may_define_a_middleware_instead(write: Any) -> None:
    write.file("own/greet.py", "async def middleware(request, handler):\n    pass\n")
    assert write.errors(FILE.replace("{greet: {word: good morning}}", "greet")) == []


def test_modules_that_help_are_imported_from_the_namespace_and_are_no_plugins(write: Any) -> None:
    write.file("own/_words.py", "WORD = 'hello'\n")
    write.file("own/greet.py", "from brain_dropins._words import WORD\n" + GOOD)
    write.file("own/test_greet.py", "import nothing_of_the_kind\n")
    write.file("own/conftest.py", "import nothing_of_the_kind\n")
    write.file("own/notes.txt", "nothing\n")
    loaded = write.text(FILE)
    assert loaded.diagnostics == ()
    assert [dropin.module for dropin in loaded.config.dropins] == ["_words", "greet"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import re\n\nx = undefined\n", "3:1 this plugin can't be loaded: NameError: name"),
        ("def f(:\n", "1:1 this plugin can't be loaded: SyntaxError: invalid syntax"),
        ("\nimport sys\nsys.exit(3)\n", "3:1 this plugin can't be loaded: SystemExit: 3"),
        ("x = 1\n", "1:1 this file defines no plugin"),
        (GOOD + "class Other(Greet):\n    pass\n", "1:1 this file defines several plugins: Greet"),
        (GOOD.replace('"object"', "7"), "1:1 plugin 'greet': its schema is not valid at 'type'"),
        ("from brain_dropins import nothing\n", "1:1 this plugin can't be loaded: ImportError"),
        ("x = 1\n  y = $\n", "2:3 this plugin can't be loaded: IndentationError"),
    ],
)
def test_a_broken_one_is_told_once_at_its_own_line(write: Any, source: str, said: str) -> None:
    write.file("own/greet.py", source)
    loaded = write.text(FILE)
    assert loaded.config is None
    (found,) = loaded.diagnostics
    span = found.span
    assert span.source.name.endswith("own/greet.py")
    assert f"{span.line}:{span.column} {found.message}".startswith(said)


def test_the_line_of_a_module_that_helps_is_shown(write: Any) -> None:
    write.file("own/_words.py", "WORD = 1 / 0\n")
    write.file("own/greet.py", "from brain_dropins._words import WORD\n" + GOOD)
    text = write.text(FILE).render()
    assert "own/_words.py:1:1" in text
    assert "WORD = 1 / 0\n" in text
    assert "^^^^^^^^^^^^" in text


def test_one_that_no_entry_names_is_loaded_too(write: Any) -> None:
    write.file("own/greet.py", GOOD)
    write.file("own/other.py", "import nothing_of_the_kind\n")
    assert write.text(FILE).config is None


def test_a_name_that_is_installed_is_refused(write: Any) -> None:
    write.catalog = Catalog()
    write.file("own/headers.py", GOOD)
    text = write.text("version: 1\nplugins_dir: own\n").render()
    assert "a plugin 'headers' is installed already, by brain-gateway" in text
    assert "own/headers.py:1:1" in text


@pytest.mark.parametrize("name", ["Greet.py", "2nd.py", "a-b.py", "a b.py"])
def test_a_file_whose_name_names_nothing_is_refused(write: Any, name: str) -> None:
    write.file(f"own/{name}", GOOD)
    (found,) = write.text("version: 1\nplugins_dir: own\n").diagnostics
    assert found.code == "BG209"
    assert name in found.message


def test_a_folder_that_is_none_is_refused_and_an_empty_one_is_not(
    write: Any, tmp_path: Path
) -> None:
    text = "version: 1\nplugins_dir: own\n"
    assert write.errors(text) == ["BG209 2:14 'own' is no folder that can be read"]
    (tmp_path / "own").mkdir()
    assert write.errors(text) == []


def test_files_are_inputs_of_the_revision_and_watched_with_their_folder(
    write: Any, tmp_path: Path
) -> None:
    write.file("own/greet.py", GOOD)
    first = write.text(FILE).config
    write.file("own/greet.py", GOOD + "# more\n")
    second = write.text(FILE).config
    assert first.revision != second.revision
    assert "own/greet.py" in second.watched
    assert second.watched_folders == ("own",)


def test_nothing_runs_where_no_plugin_may(write: Any, tmp_path: Path) -> None:
    write.file("own/greet.py", "raise SystemExit\n")
    write.file("routes.yaml", FILE)
    assert write.load(run_plugins=False).diagnostics == ()


def test_what_editors_and_file_systems_leave_is_left_alone(write: Any, tmp_path: Path) -> None:
    write.file("own/greet.py", GOOD)
    write.file("own/._greet.py", b"\x00\x05")
    (tmp_path / "own" / ".#greet.py").symlink_to("somebody@host.1234")
    assert write.errors(FILE) == []


def test_what_is_no_regular_file_is_refused_instead_of_waiting_for_a_writer(
    write: Any, tmp_path: Path
) -> None:
    write.file("own/greet.py", GOOD)
    os.mkfifo(tmp_path / "own" / "pipe.py")
    (found,) = write.text(FILE).diagnostics
    assert found.message == "'pipe.py' is no regular file"
