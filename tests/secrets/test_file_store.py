"""The store `file`: where it looks, whom it trusts, and what it never opens."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config.models import FileSecrets
from proxy.ports.secrets import (
    SecretAway,
    SecretError,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
)
from proxy.secrets import files
from proxy.secrets.files import FileStore

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(name: str, content: str | bytes, mode: int = 0o600) -> Path:
        path = tmp_path / "kept" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(FileSecrets(str(tmp_path / "kept")))


async def refused(store: FileStore, path: str = "platform/redis") -> SecretError:
    with pytest.raises(SecretError) as raised:
        await store.get(path)
    return raised.value


# -- forms


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("platform/redis.yaml", "url: 'redis://a:6379'\npassword: 0123\non: no # a comment\n"),
        ("platform/redis.json", '{"url": "redis://a:6379", "password": "0123", "on": "no"}'),
    ],
)
async def test_a_file_is_a_mapping_of_texts_as_they_stand(
    store: FileStore, put: Put, name: str, text: str
) -> None:
    put(name, text)
    wanted = {"url": "redis://a:6379", "password": "0123", "on": "no"}
    assert (await store.get("platform/redis")).fields == wanted


async def test_a_value_is_never_read_as_a_reference(store: FileStore, put: Put) -> None:
    put("a.yaml", "x: a${HOME}b\n")
    assert (await store.get("a")).fields == {"x": "a${HOME}b"}


@pytest.mark.parametrize(
    ("content", "value"),
    [("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), (" x ", " x "), ("a\nb\n", "a\nb")],
)
async def test_a_folder_has_a_file_for_each_field_and_one_newline_is_cut(
    store: FileStore, put: Put, content: str, value: str
) -> None:
    put("platform/redis/url", content)
    put("platform/redis/ca.json", "{}")
    put("platform/redis/below/deeper", "no field of this one")
    assert (await store.get("platform/redis")).fields == {"url": value, "ca.json": "{}"}


async def test_a_folder_as_kubernetes_mounts_it_follows_its_swap(
    store: FileStore, put: Put, tmp_path: Path
) -> None:
    put("redis/..2026_1/url", "old")
    put("redis/..2026_2/url", "new")
    folder = tmp_path / "kept/redis"
    (folder / "..data").symlink_to("..2026_1")
    (folder / "url").symlink_to("..data/url")
    assert (await store.get("redis")).fields == {"url": "old"}
    (folder / "..tmp").symlink_to("..2026_2")
    (folder / "..tmp").rename(folder / "..data")
    assert (await store.get("redis")).fields == {"url": "new"}


async def test_a_folder_that_is_reached_by_a_link_is_one(put: Put, tmp_path: Path) -> None:
    put("a.yaml", "x: y")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    assert (await FileStore(FileSecrets(str(tmp_path / "link"))).get("a")).fields == {"x": "y"}


# -- what is refused


@pytest.mark.parametrize(
    "path",
    [
        *("..", "../out", "a/../../out", "a/..", "/etc/passwd", "a//b", "a/", "/", "", "."),
        *("a/./b", ".hidden", "a\0b", "a b", "a\\b", "ä", "a/.b", "x\n", "~root", "a" * 200),
    ],
)
async def test_an_odd_path_is_refused_before_any_file_is_looked_at(
    store: FileStore, put: Put, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("../out.yaml", "x: y")

    def touched(*_: object) -> None:
        raise AssertionError("it looked")

    monkeypatch.setattr(FileStore, "_get", touched)
    assert isinstance(await refused(store, path), SecretMissing)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o666, 0o610])
@pytest.mark.parametrize("name", ["platform/redis.yaml", "platform/redis/url"])
async def test_a_file_that_others_may_touch_is_refused_with_a_remedy(
    store: FileStore, put: Put, name: str, mode: int
) -> None:
    path = put(name, "url: s3same", mode)
    error = await refused(store)
    assert isinstance(error, SecretForbidden)
    assert str(path) in str(error)
    assert error.hint == f"chmod 600 {path}"


@pytest.mark.parametrize(("mode", "good"), [(0o440, True), (0o640, True), (0o660, False)])
async def test_where_the_group_may_read_it_may_do_no_more(
    put: Put, tmp_path: Path, mode: int, good: bool
) -> None:
    store = FileStore(FileSecrets(str(tmp_path / "kept"), group_read=True))
    put("a.yaml", "x: y", mode)
    if good:
        assert (await store.get("a")).fields == {"x": "y"}
    else:
        assert isinstance(await refused(store, "a"), SecretForbidden)


async def test_a_link_out_of_the_folder_is_refused(
    store: FileStore, put: Put, tmp_path: Path
) -> None:
    outside = put("../outside/url", "s3same")
    put("here/url", "x")
    (tmp_path / "kept/file.yaml").symlink_to(outside)
    (tmp_path / "kept/folder").symlink_to(outside.parent)
    (tmp_path / "kept/here/more").symlink_to(outside)
    for path in ("file", "folder", "here"):
        error = await refused(store, path)
        assert isinstance(error, SecretForbidden)
        assert "leads out of" in str(error)


async def test_a_fifo_is_refused_and_never_waited_for(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "kept/redis").mkdir(parents=True)
    for name in ("pipe.yaml", "redis/url"):
        os.mkfifo(tmp_path / "kept" / name, 0o600)
    for path in ("pipe", "redis"):
        async with asyncio.timeout(1):
            error = await refused(store, path)
        assert "no regular file" in str(error)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", b"x: " + b"s" * 70_000, "larger than 64 KiB"),
        ("a.yaml", b"x: s3s\0ame", "NUL"),
        ("a.yaml", b"x: s3s\xffame", "not UTF-8"),
        ("a.yaml", b"", "no fields"),
        ("a.yaml", b"x: [s3same", "and nothing else (line 1)"),
        ("a.yaml", b"\tx: s3same", "not YAML (line 1)"),
        ("a.yaml", b"x:\n  y: s3same\n", "expected a mapping of names to texts"),
        ("a.yaml", b"- s3same\n", "expected a mapping of names to texts"),
        ("a.yaml", b"s3same", "expected a mapping of names to texts"),
        ("a.yaml", b"x: &a s3same\ny: *a\n", "(line 1)"),
        ("a.yaml", b"x: !!binary s3same\n", "(line 1)"),
        ("a.yaml", b"x: s3same\n---\nx: s3same\n", "(line 3)"),
        ("a.yaml", b"x: s3same\nx: s3same\n", "there twice (line 2)"),
        ("a.yaml", b"x: s3same\ny:\n", "no value (line 2)"),
        ("a.yaml", b"x: ~\n", "no value"),
        ("a.yaml", b"x: ''\n", "no value"),
        ("a.json", b'{"x": "s3same"', "not JSON (line 1)"),
        ("a.json", b'{"x": 1}', "names and texts"),
        ("a.json", b'["s3same"]', "names and texts"),
        ("a.json", b'{"x": "s3same", "x": "s3same"}', "there twice"),
        ("a.json", b'{"x": ""}', "no value"),
        ("a.json", rb'{"x": "s3same\ud800"}', "no Unicode"),
        ("a.yaml", rb'x: "s3same\ud800"', "not YAML"),
        ("a.json", b"[" * 60_000, "not JSON"),
        ("a/x", b"", "is empty"),
        ("a/x", b"\n", "is empty"),
    ],
)
async def test_what_is_no_mapping_of_texts_is_told_without_what_stands_there(
    store: FileStore, put: Put, name: str, content: bytes, said: str
) -> None:
    path = put(name, content)
    error = await refused(store, "a")
    assert isinstance(error, SecretMalformed)
    assert said in str(error)
    assert str(path) in str(error)
    assert "s3s" not in str(error)


async def test_two_files_for_one_path_are_refused(store: FileStore, put: Put) -> None:
    put("a.yaml", "x: y")
    put("a.json", '{"x": "z"}')
    assert "the same secret: keep one" in str(await refused(store, "a"))


async def test_a_folder_of_too_many_files_is_refused(store: FileStore, put: Put) -> None:
    for number in range(files.MOST_FILES + 1):
        put(f"a/f{number}", "x")
    assert isinstance(await refused(store, "a"), SecretMalformed)


async def test_what_is_nowhere_is_missing(store: FileStore, put: Put) -> None:
    assert isinstance(await refused(store), SecretMissing)
    put("platform/redis/below/url", "x")
    assert isinstance(await refused(store), SecretMissing)


async def test_a_link_to_nothing_is_trouble(store: FileStore, put: Put, tmp_path: Path) -> None:
    put("a/x", "y")
    (tmp_path / "kept/a/z").symlink_to("nothing")
    assert isinstance(await refused(store, "a"), SecretAway)
    (tmp_path / "kept/a/z").unlink()
    (tmp_path / "kept/a/z").symlink_to("z")
    assert isinstance(await refused(store, "a"), SecretAway)


async def test_a_file_that_may_not_be_read_is_forbidden(
    store: FileStore, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.yaml", "x: y", 0o000)
    if os.geteuid() == 0:  # who may read everything: the system's word is put in

        def refuse(*_: object) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("proxy.secrets.reading.os.open", refuse)
    assert isinstance(await refused(store, "a"), SecretForbidden)


# -- reading again


async def test_a_file_is_read_again_only_when_it_has_changed(
    store: FileStore, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put("a.yaml", "x: one")
    assert (await store.get("a")).fields == {"x": "one"}
    monkeypatch.setattr(files, "SETTLED", -1.0)
    await store.get("a")
    reads: list[Path] = []
    real = files.read_private

    def counted(name: Path, at: str, *, group_read: bool) -> str:
        reads.append(name)
        return real(name, at, group_read=group_read)

    monkeypatch.setattr(files, "read_private", counted)
    await store.get("a")
    assert reads == []
    path.write_text("x: two")
    assert (await store.get("a")).fields == {"x": "two"}
    assert reads == [path]


async def test_a_change_within_the_clocks_grain_is_seen(store: FileStore, put: Put) -> None:
    path = put("a.yaml", "x: one")
    times = (time.time_ns(), time.time_ns())
    for value in ("one", "two", "six"):
        path.write_text(f"x: {value}")
        os.utime(path, ns=times)
        assert (await store.get("a")).fields == {"x": value}


async def test_a_mode_that_was_widened_is_seen(store: FileStore, put: Put) -> None:
    path = put("a.yaml", "x: one")
    await store.get("a")
    path.chmod(0o644)
    assert isinstance(await refused(store, "a"), SecretForbidden)


async def test_files_are_looked_at_in_a_thread(store: FileStore, put: Put) -> None:
    blockbuster = pytest.importorskip("blockbuster")
    put("a/x", "y")
    with blockbuster.blockbuster_ctx():
        assert (await store.get("a")).fields == {"x": "y"}


def test_it_says_where_it_would_look_and_shows_no_value(store: FileStore, tmp_path: Path) -> None:
    said = store.remedy("platform/redis", "url")
    at = tmp_path / "kept/platform/redis"
    assert said == f"write 'url: …' into {at}.yaml, or the file {at}/url"
    assert repr(store) == f"<FileStore {tmp_path / 'kept'}>"
