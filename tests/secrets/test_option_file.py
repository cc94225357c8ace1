"""A file that holds what an option could, read again while it serves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy import ConfigError, OptionFile, Problems

SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "pause": {"type": "string", "format": "duration", "default": "2s"},
            "token": {"type": "string", "minLength": 20, "writeOnly": True},
        },
    },
}
Write = Callable[..., None]


def no_bob(given: Any, problems: Problems) -> None:
    for index, one in enumerate(given):
        if one["name"] == "bob":
            problems.add(f"{index}.name", "bob may not", hint="take another")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.yaml"


@pytest.fixture
def write(path: Path) -> Write:
    def put(content: str | bytes, mode: int = 0o600) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)

    return put


@pytest.fixture
def file(path: Path) -> OptionFile:
    return OptionFile(str(path), SCHEMA, no_bob)


def test_it_is_read_as_an_option_is_and_again_only_when_it_changes(
    file: OptionFile, write: Write
) -> None:
    write("- {name: a}\n- name: b\n  pause: 5s\n")
    assert file.read() == [{"name": "a", "pause": 2.0}, {"name": "b", "pause": 5.0}]
    assert file.read() is None
    write('[{"name": "c"}]')
    assert file.read() == [{"name": "c", "pause": 2.0}]
    write("[]")
    assert file.read() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("name: a\n", ":1:1: "),
        ("- name: a\n- nme: b\n", ":2:3: unknown key 'nme'"),
        ("- name: a\n- name: bob\n- name: bob\n", ":2:9: bob may not (and 1 more)"),
        ("- {name: a, pause: soon}\n", ":1:20: "),
        ("- {name: a, token: s3same}\n", ":1:20: "),
        ("- {name: a\n", ":1:3: a '{' is opened here"),
        ("- {name: '${HOME}'}\n", "environment variable HOME is not set"),
        (b"- {name: s3s\xffame}\n", "is not UTF-8"),
        (b"- {name: s3s\0ame}\n", "NUL"),
        (b"#" * (1024 * 1024 + 1), "larger than 1024 KiB"),
    ],
)
def test_a_mistake_is_told_with_file_and_line_until_it_is_mended(
    file: OptionFile, write: Write, path: Path, content: str | bytes, said: str
) -> None:
    write("- name: a\n")
    file.read()
    write(content)
    for _ in range(2):
        with pytest.raises(ConfigError) as raised:
            file.read()
        assert said in str(raised.value)
        assert str(path) in str(raised.value)
        assert "s3s" not in str(raised.value) + str(raised.value.hint)
    write("- name: a\n")
    assert file.read() == [{"name": "a", "pause": 2.0}]


@pytest.mark.parametrize(
    ("mode", "good"), [(0o600, True), (0o640, True), (0o440, True), (0o644, False), (0o660, False)]
)
def test_others_may_not_read_it_and_nobody_else_may_write_it(
    file: OptionFile, write: Write, path: Path, mode: int, good: bool
) -> None:
    write("- name: a\n", mode)
    if good:
        assert file.read()
    else:
        with pytest.raises(ConfigError) as raised:
            file.read()
        assert raised.value.hint == f"chmod 600 {path}"
        path.chmod(0o600)
        assert file.read()


def test_what_is_no_file_is_refused_and_never_waited_for(file: OptionFile, path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        file.read()
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match="no regular file"):
        file.read()
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError):
        file.read()


def test_a_link_that_is_swapped_is_followed(file: OptionFile, path: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"- name: {name}\n")
        (tmp_path / name).chmod(0o600)
    path.symlink_to("one")
    assert file.read()[0]["name"] == "one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(path)
    assert file.read()[0]["name"] == "two"
