"""One kept revision as a file: a line with the head's digest, the head, then the texts as they were.

    brain-revision 1 <sha256 of the head>
    {"revision": …, "order": …, "accepted": …, "cause": …, "services": …, "folder": …,
     "files": [{"name": …, "included": …, "bytes": …}, …], "sha256": <of the texts>}
    <the files' bytes, one behind the other>

So a list needs the heads alone, and an operator who wants a text back can read it in a pager.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from proxy.config.texts import FileText, Kept

SUFFIX = ".revision"
FORMAT = 1

_LONGEST_HEAD = 4 * 1024 * 1024
"""Bytes: some thousands of included files with long names."""


class Damaged(Exception):
    """An entry that is not what was written, or of a format that is not known. Says why."""


class Revision(NamedTuple):
    """What a list tells of an entry.

    `order` grows with each acceptance, since clocks go back. `accepted` is wall clock. `folder` is
    where the gateway ran, which names of `files` that are relative are relative to; `main` are those
    that it was given.
    """

    revision: str
    order: int
    accepted: float
    cause: str
    services: int
    folder: str
    files: tuple[str, ...]
    main: tuple[str, ...]

    @property
    def given(self) -> tuple[str, ...]:
        """The files that the gateway was given, as absolute paths: whose revision it is."""
        return absolute(self.main, self.folder)

    @property
    def short(self) -> str:
        """The first twelve digits, as in the log."""
        return self.revision[:12]


def absolute(files: Sequence[str], folder: str) -> tuple[str, ...]:
    """Return names of files as seen from the root."""
    return tuple(os.path.normpath(Path(folder) / name) for name in files)


def written(revision: Revision, texts: Sequence[FileText]) -> bytes:
    """Return the bytes of an entry."""
    bodies = [each.text.encode() for each in texts]
    body = b"".join(bodies)
    head = {
        **{name: getattr(revision, name) for name in _PLAIN},
        "files": [
            {"name": each.name, "included": each.included, "bytes": len(own)}
            for each, own in zip(texts, bodies, strict=True)
        ],
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    line = json.dumps(head).encode()
    mark = f"brain-revision {FORMAT} {hashlib.sha256(line).hexdigest()}"
    return b"\n".join([mark.encode(), line, body])


_PLAIN = ("revision", "order", "accepted", "cause", "services", "folder")


def read_head(path: Path) -> Revision:
    """Return what stands in an entry's head. Raises Damaged, OSError."""
    with _opened(path) as file:
        return _head(file)[0]


def read_whole(path: Path) -> tuple[Revision, Kept]:
    """Return an entry with its texts. Raises Damaged, OSError."""
    with _opened(path) as file:
        revision, head = _head(file)
        body = file.read()
    if hashlib.sha256(body).hexdigest() != head["sha256"]:
        raise Damaged("its texts are not those that were written")
    texts, at = [], 0
    for each in head["files"]:
        end = at + each["bytes"]
        texts.append(FileText(each["name"], body[at:end].decode(), each["included"]))
        at = end
    return revision, Kept(revision.revision, revision.accepted, tuple(texts))


def _opened(path: Path) -> BinaryIO:
    """Open an entry: what a stranger put there, as a link or a pipe, is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Damaged("it is no regular file")
    return os.fdopen(descriptor, "rb")


def _head(file: BinaryIO) -> tuple[Revision, dict[str, Any]]:
    words = file.readline(200).split()
    if len(words) != 3 or words[0] != b"brain-revision":
        raise Damaged("it does not begin as a revision does")
    if words[1] != b"%d" % FORMAT:
        raise Damaged("another version of the gateway wrote it")
    line = file.readline(_LONGEST_HEAD).removesuffix(b"\n")
    if hashlib.sha256(line).hexdigest().encode() != words[2]:
        raise Damaged("its head is not what was written")
    head: dict[str, Any] = json.loads(line)
    size = file.tell() + sum(each["bytes"] for each in head["files"])
    if os.fstat(file.fileno()).st_size != size:
        raise Damaged("it was cut off")
    files = head["files"]
    names = tuple(each["name"] for each in files)
    main = tuple(each["name"] for each in files if not each["included"])
    plain: dict[str, Any] = {name: head[name] for name in _PLAIN}
    return Revision(**plain, files=names, main=main), head
