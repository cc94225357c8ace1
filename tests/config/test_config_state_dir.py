"""Finding `gateway.state_dir` in files that can't be loaded, and loading texts instead of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config.load import load
from proxy.config.state_dir import state_dir_of
from proxy.config.texts import FileText
from proxy.plugin.catalog import Catalog

HEAD = "version: 1\ngateway:\n  listen: :8080\n  state_dir: {}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HEAD.format("./kept"), "kept"),
        (HEAD.format("/var/lib/x"), "/var/lib/x"),
        (HEAD.format("${STATE}"), "from-env"),
        (HEAD.format("${NONE:-kept}"), "kept"),
        (HEAD.format("kept") + "services:\n  a: [\n", "kept"),
        (HEAD.format("kept") + "\tservices: {}\n", "kept"),
        ("gateway: {admin: off, state_dir: kept, oops", "kept"),
        ("gateway:\n  state_dir: kept\n  admin: [off\nlog: {}\n", "kept"),
        ("<<<<<<< HEAD\nversion: 1\n" + HEAD.format("kept   # for ever"), "kept"),
        ("a: b: c\n" + HEAD.format('"kept in mind"'), "kept in mind"),
        ("a: b: c\n" + HEAD.format("${STATE}"), "from-env"),
        ("a: b: c\n" + HEAD.format("${UNSET}"), None),
        (HEAD.format("${UNSET}"), None),
        (HEAD.format('""'), None),
        (HEAD.format("${NONE:-}"), None),
        ("a: b: c\n# state_dir: kept\n", None),
        ("", None),
        ("gateway: off\n", None),
        ("- gateway\n", None),
    ],
)
def test_it_is_found_as_far_as_the_file_can_be_read(
    text: str, found: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(text)
    where = state_dir_of([str(file)], {"STATE": "from-env"})
    assert where == (None if found is None else str(tmp_path / found))


def test_the_last_file_that_names_it_counts(tmp_path: Path) -> None:
    for name, text in (("a", "one"), ("b", "two")):
        (tmp_path / name).write_text(HEAD.format(text))
    (tmp_path / "c").write_text("x: [")
    names = [str(tmp_path / name) for name in ("a", "b", "c", "there-is-none")]
    assert state_dir_of(names, {}) == str(tmp_path / "two")


def test_what_waits_for_a_writer_is_not_opened(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    assert state_dir_of([str(tmp_path / "pipe"), str(tmp_path)], {}) is None


MAIN = 'version: 1\ninclude: ["d/*.yaml"]\nservices: {a: {upstream: "${URL}", public: true}}\n'
PART = 'services: {b: {upstream: "http://b", public: true}}\n'


def test_texts_make_the_same_configuration_as_the_files_did(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "routes.yaml").write_text(MAIN)
    (tmp_path / "d" / "b.yaml").write_text(PART)
    name, environment = str(tmp_path / "routes.yaml"), {"URL": "http://user-of-url:1"}
    before = load([name], environment=environment, catalog=Catalog()).config
    assert before is not None
    assert before.texts == (
        FileText(name, MAIN),
        FileText(str(tmp_path / "d" / "b.yaml"), PART, included=True),
    )
    assert "user-of-url" not in repr(before.texts)
    (tmp_path / "routes.yaml").unlink()
    (tmp_path / "d" / "b.yaml").write_text("x: [")
    (tmp_path / "d" / "new.yaml").write_text("services: {c: http://c}\n")
    again = load([name], environment=environment, catalog=Catalog(), texts=before.texts).config
    assert again is not None
    assert again.revision == before.revision
    assert again.texts == before.texts
    assert again.watched_folders == before.watched_folders
    assert [each.name for each in again.services] == ["a", "b"]


def test_texts_are_told_of_at_their_own_lines(tmp_path: Path) -> None:
    texts = [
        FileText("gone.yaml", "version: 1\nservices: {a: {upstream: '${URL}', public: true}}\n")
    ]
    loaded = load(["gone.yaml"], environment={}, catalog=Catalog(), texts=texts)
    assert "environment variable URL is not set" in loaded.render()
    assert "gone.yaml:2:" in loaded.render()
