"""The folder of kept revisions: one file each, written aside, synced, and put in place by a rename.

So a crash leaves the old entry or the new one, and maybe a temporary file that the next save takes
away. Several gateways may share the folder: each save holds a lock, and whose revision an entry is
tells by the files that the gateway was given.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from proxy.config.texts import FileText, Kept
from proxy.errors import ConfigError
from proxy.revisions.entry import (
    SUFFIX,
    Damaged,
    Revision,
    absolute,
    read_head,
    read_whole,
    written,
)

KEEP = 20
"""Revisions of one gateway."""

MOST = 100
"""Revisions of all that share the folder, whatever files they are given."""

FOLDER = "revisions"
_LOCK_WITHIN = 5.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = ".new-"

REMEDY = "name a folder of the gateway's own user (gateway.state_dir, BRAIN_STATE_DIR), or none"


class Listed(NamedTuple):
    """What the folder holds, the newest first; `damaged` leads from names of files to reasons."""

    revisions: tuple[Revision, ...]
    damaged: dict[str, str]


class NotKept(ConfigError):
    """No kept revision, or more than one, is meant."""


class Store:
    """The revisions below one `state_dir`."""

    def __init__(self, state_dir: str) -> None:
        self.state_dir = state_dir
        self._folder = Path(state_dir) / FOLDER

    def open(self) -> None:
        """Make the folder, mode 0700, and try to write there. Raises ConfigError.

        A full disk refuses nothing: the gateway serves, and tells that it can't keep.
        """
        try:
            Path(self.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._refuse_strangers()
            self._folder.chmod(0o700)
            with self._locked():
                self._sweep()
                self._put(self._folder / f"{_TEMPORARY}probe", b"", keep=False)
        except OSError as error:
            if error.errno not in _FULL:
                raise ConfigError(
                    f"gateway.state_dir: can't write to {self._folder}: {error.strerror}",
                    hint=REMEDY,
                ) from None

    def _refuse_strangers(self) -> None:
        """What is kept may be served one day: nobody else may have put it there. Raises ConfigError."""
        found = self._folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ConfigError(
                f"gateway.state_dir: {self._folder} belongs to another user, or is no folder",
                hint=REMEDY,
            )

    # -- write

    def save(self, revision: str, texts: Sequence[FileText], *, cause: str, services: int) -> None:
        """Keep a revision as the newest; what is kept of it already is replaced. Raises OSError."""
        with self._locked():
            self._sweep()
            known = self.list().revisions
            order = max((each.order for each in known), default=0) + 1
            main = tuple(each.name for each in texts if not each.included)
            names = tuple(each.name for each in texts)
            fresh = Revision(
                revision,
                order,
                time.time(),
                cause,
                services,
                _here(),
                names,
                main,
            )
            self._put(self._path(revision), written(fresh, texts))
            self._prune([fresh, *(each for each in known if each.revision != revision)])

    def _path(self, revision: str) -> Path:
        return self._folder / f"{revision}{SUFFIX}"

    def _put(self, path: Path, content: bytes, *, keep: bool = True) -> None:
        aside = self._folder / f"{_TEMPORARY}{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(aside, flags, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if keep:
                aside.rename(path)
                self._sync()
        finally:
            aside.unlink(missing_ok=True)

    def _sync(self) -> None:
        """Make the names in the folder last, too."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Take away what a crash has left half written."""
        for left in self._folder.glob(f"{_TEMPORARY}*"):
            left.unlink(missing_ok=True)

    def _prune(self, revisions: Sequence[Revision]) -> None:
        """Keep the newest of each gateway, and of all together."""
        counts: Counter[tuple[str, ...]] = Counter()
        for number, each in enumerate(revisions):
            counts[each.given] += 1
            if number >= MOST or counts[each.given] > KEEP:
                self._path(each.revision).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock. Raises OSError (EAGAIN) when another holds it for seconds."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._folder / ".lock", flags, 0o600)
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    # -- read

    def list(self, *, whole: bool = False) -> Listed:
        """Return what is kept, `whole` with the texts looked at too. Raises OSError.

        What can't be read is left out and told.
        """
        found: list[Revision] = []
        damaged: dict[str, str] = {}
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                found.append(_read(path, whole))
            except FileNotFoundError:
                continue  # another gateway has just pruned it
            except (Damaged, OSError, ValueError, KeyError, TypeError) as error:
                damaged[path.name] = getattr(error, "strerror", None) or str(error)
        return Listed(tuple(sorted(found, key=lambda each: -each.order)), damaged)

    def find(self, prefix: str) -> Revision:
        """Return the one revision whose hash begins with `prefix`. Raises NotKept."""
        found = [each for each in self.list().revisions if each.revision.startswith(prefix)]
        if not prefix or not found:
            raise NotKept(
                f"no kept revision begins with '{prefix}'",
                hint="'brain revisions' lists those that are kept",
            )
        if len(found) > 1:
            names = ", ".join(each.short for each in found)
            raise NotKept(
                f"several revisions begin with '{prefix}': {names}", hint="write more of it"
            )
        return found[0]

    def read(self, revision: Revision) -> Kept:
        """Return a revision with its texts, to be loaded from here. Raises NotKept.

        Where the gateway ran in another folder, names of files are absolute.
        """
        try:
            found, kept = read_whole(self._path(revision.revision))
        except (Damaged, OSError, ValueError, KeyError, TypeError) as error:
            why = getattr(error, "strerror", None) or error
            raise NotKept(f"revision {revision.short} can't be read: {why}") from None
        if found.folder == _here():
            return kept
        names = absolute(found.files, found.folder)
        texts = [each._replace(name=name) for each, name in zip(kept.texts, names, strict=True)]
        return kept._replace(texts=tuple(texts))

    def newest_of(self, files: Sequence[str]) -> Iterator[Revision]:
        """Yield the revisions of the gateway that is given `files`, the newest first."""
        own = absolute(files, _here())
        return (each for each in self.list().revisions if each.given == own)


def _read(path: Path, whole: bool) -> Revision:
    head = read_whole(path)[0] if whole else read_head(path)
    if path.name != f"{head.revision}{SUFFIX}":
        raise Damaged("it was written under another name")
    return head


def _here() -> str:
    return str(Path.cwd())


def _lock(descriptor: int) -> None:
    until = time.monotonic() + _LOCK_WITHIN
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise OSError(errno.EAGAIN, "another gateway holds the lock") from None
            time.sleep(0.01)
        else:
            return
