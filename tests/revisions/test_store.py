"""The folder of kept revisions: what survives, what is skipped, and who may share it."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from proxy.config.texts import FileText
from proxy.errors import ConfigError
from proxy.revisions import store as module
from proxy.revisions.store import KEEP, MOST, NotKept, Store

HASHES = [f"{number:064x}" for number in range(16**8, 16**8 + 400)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "state"))
    made.open()
    return made


def save(store: Store, revision: str, *, name: str = "routes.yaml", text: str = "a: 1\n") -> None:
    store.save(revision, [FileText(name, text)], cause="start", services=1)


def files(store: Store) -> list[Path]:
    return sorted((Path(store.state_dir) / "revisions").glob("*.revision"))


def revisions(store: Store) -> list[str]:
    return [each.revision for each in store.list(whole=True).revisions]


def test_what_is_kept_comes_back_as_it_was_in_order(store: Store) -> None:
    texts = (
        FileText("routes.yaml", "a: ä\r\n# ünï\n"),
        FileText("over.yaml", ""),
        FileText("d/one.yaml", "x: ${SECRET}\n", included=True),
    )
    store.save(HASHES[0], texts, cause="watch", services=3)
    (found,) = store.list(whole=True).revisions
    assert (found.cause, found.services) == ("watch", 3)
    assert found.main == ("routes.yaml", "over.yaml")
    kept = store.read(found)
    assert kept.texts == texts
    assert kept.files == found.main


def test_only_the_owner_may_look(store: Store) -> None:
    save(store, HASHES[0])
    assert stat.S_IMODE(Path(store.state_dir).stat().st_mode) == 0o700
    assert stat.S_IMODE((Path(store.state_dir) / "revisions").stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in files(store)} == {0o600}


def test_a_folder_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "revisions").mkdir(mode=0o777)
    (tmp_path / "revisions").chmod(0o777)
    Store(str(tmp_path)).open()
    assert stat.S_IMODE((tmp_path / "revisions").stat().st_mode) == 0o700


def test_the_same_revision_again_is_kept_once_and_becomes_the_newest(store: Store) -> None:
    save(store, HASHES[0])
    save(store, HASHES[1])
    save(store, HASHES[0], text="a: 1 # now with a comment\n")
    assert revisions(store) == [HASHES[0], HASHES[1]]
    assert len(files(store)) == 2
    assert "comment" in store.read(store.find(HASHES[0])).texts[0].text


def test_a_clock_that_goes_back_does_not_change_the_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment, revision in zip((1000.0, 10.0), HASHES, strict=False):
        monkeypatch.setattr(module.time, "time", lambda moment=moment: moment)
        save(store, revision)
    assert revisions(store) == [HASHES[1], HASHES[0]]


def test_the_last_twenty_are_kept(store: Store) -> None:
    for revision in HASHES[: KEEP + 3]:
        save(store, revision)
    assert revisions(store) == HASHES[: KEEP + 3][: -KEEP - 1 : -1]


def test_a_gateway_that_shares_the_folder_pushes_none_of_the_others_out(store: Store) -> None:
    save(store, HASHES[0], name="mine.yaml")
    for revision in HASHES[1 : KEEP + 6]:
        save(store, revision, name="other.yaml")
    assert [each.revision for each in store.newest_of(["mine.yaml"])] == [HASHES[0]]
    assert len(list(store.newest_of(["other.yaml"]))) == KEEP


def test_all_gateways_together_have_a_bound(store: Store) -> None:
    for number, revision in enumerate(HASHES[: MOST + 5]):
        save(store, revision, name=f"routes{number}.yaml")
    assert len(files(store)) == MOST


def test_none_is_given_a_revision_of_other_files(store: Store) -> None:
    save(store, HASHES[0], name="other.yaml")
    assert not list(store.newest_of(["routes.yaml"]))
    assert list(store.newest_of(["./other.yaml"]))
    assert list(store.newest_of([str(Path.cwd() / "other.yaml")]))


def _save_some(state_dir: str, name: str, part: list[str]) -> None:
    store = Store(state_dir)
    store.open()
    for revision in part:
        save(store, revision, name=name)


def test_processes_that_write_at_once_lose_nothing(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    parts = [HASHES[:15], HASHES[15:30]]
    writers = [
        context.Process(target=_save_some, args=(store.state_dir, f"r{number}.yaml", part))
        for number, part in enumerate(parts)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    found = store.list(whole=True)
    assert not found.damaged
    assert {each.revision for each in found.revisions} == set(HASHES[:30])
    assert len({each.order for each in found.revisions}) == 30


# -- crashes and damage


@pytest.mark.parametrize("size", [0, 10, 60, 120, 400, -1])
def test_an_entry_that_was_cut_off_is_skipped_and_told(store: Store, size: int) -> None:
    save(store, HASHES[0])
    save(store, HASHES[1], text="text " * 20)
    path = files(store)[1]
    path.write_bytes(path.read_bytes()[:size])
    found = store.list()
    assert [each.revision for each in found.revisions] == [HASHES[0]]
    assert list(found.damaged) == [path.name]
    with pytest.raises(NotKept):
        store.find(HASHES[1])


def test_a_text_that_was_changed_is_never_served(store: Store) -> None:
    save(store, HASHES[0], text="public: false\n")
    head = store.find(HASHES[0])
    (path,) = files(store)
    path.write_bytes(path.read_bytes().replace(b"public: false", b"public:  true"))
    assert store.list(whole=True).damaged == {
        path.name: "its texts are not those that were written"
    }
    with pytest.raises(NotKept, match="its texts are not those that were written"):
        store.read(head)


def test_a_head_that_was_changed_is_no_revision(store: Store) -> None:
    save(store, HASHES[0])
    (path,) = files(store)
    path.write_bytes(path.read_bytes().replace(b'"services": 1', b'"services": 7'))
    assert store.list().damaged == {path.name: "its head is not what was written"}


def test_an_entry_of_another_format_or_name_is_skipped(store: Store) -> None:
    save(store, HASHES[0])
    (path,) = files(store)
    path.with_name(f"{HASHES[1]}.revision").write_bytes(path.read_bytes())
    path.with_name(f"{HASHES[2]}.revision").write_bytes(
        path.read_bytes().replace(b"brain-revision 1", b"brain-revision 2")
    )
    os.mkfifo(path.with_name(f"{HASHES[3]}.revision"))
    path.with_name(f"{HASHES[4]}.revision").symlink_to(path)
    found = store.list(whole=True)
    assert [each.revision for each in found.revisions] == [HASHES[0]]
    assert [found.damaged[f"{each}.revision"] for each in HASHES[1:5]] == [
        "it was written under another name",
        "another version of the gateway wrote it",
        "it is no regular file",
        os.strerror(errno.ELOOP),
    ]


def test_what_a_crash_left_half_written_is_no_revision_and_is_swept(store: Store) -> None:
    left = Path(store.state_dir) / "revisions" / ".new-123"
    left.write_bytes(b"brain-revision 1 ")
    assert store.list() == ((), {})
    save(store, HASHES[0])
    assert not left.exists()
    assert revisions(store) == [HASHES[0]]


def test_a_crash_before_the_rename_leaves_the_old_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, HASHES[0], text="old\n")

    def crash(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", crash)
    with pytest.raises(OSError, match="No space"):
        save(store, HASHES[0], text="new\n")
    monkeypatch.undo()
    assert store.read(store.find(HASHES[0])).texts[0].text == "old\n"


# -- what can't be


def test_a_place_that_is_no_folder_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("mine")
    with pytest.raises(ConfigError, match=r"gateway\.state_dir: can't write to") as caught:
        Store(str(tmp_path / "state")).open()
    assert "BRAIN_STATE_DIR" in str(caught.value.hint)


def test_a_link_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "revisions").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="belongs to another user, or is no folder"):
        Store(str(tmp_path)).open()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "revisions").mkdir()
    os.chown(tmp_path / "revisions", 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        Store(str(tmp_path)).open()


def test_a_full_disk_refuses_no_start(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    store.open()


def test_a_lock_that_is_never_given_back_is_an_error_and_no_wait_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_WITHIN", 0.05)
    with (Path(store.state_dir) / "revisions" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another gateway holds the lock"):
            save(store, HASHES[0])


def test_a_prefix_must_mean_one(store: Store) -> None:
    one, two = "ab" + "0" * 62, "ac" + "0" * 62
    save(store, one)
    save(store, two)
    assert store.find("ab").revision == one
    with pytest.raises(
        NotKept, match="several revisions begin with 'a': ac0000000000, ab0000000000"
    ):
        store.find("a")
    for prefix in ("", "ad", two + "0"):
        with pytest.raises(NotKept, match="no kept revision begins"):
            store.find(prefix)


def test_names_are_absolute_where_the_gateway_ran_elsewhere(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(store, HASHES[0])
    assert store.read(store.find(HASHES[0])).files == ("routes.yaml",)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert store.read(store.find(HASHES[0])).files == (str(tmp_path / "routes.yaml"),)
