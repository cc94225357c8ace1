"""One file that holds a secret: found without leaving its folder, trusted by its mode, read whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from proxy.ports.secrets import SecretForbidden, SecretMalformed

MOST = 64 * 1024
"""Bytes: keys and certificates have a few thousand."""

_OTHERS = 0o077
_ALL_BUT_GROUP_READ = 0o037
_ALL_BUT_READ = 0o033


class Stat(NamedTuple):
    """What tells one content of a file from the next; `changed` is in seconds since 1970."""

    inode: tuple[int, int]
    size: int
    mode: int
    modified: int
    changed: float


def located(root: Path, name: Path) -> str:
    """Return where `name` really is. Raises SecretForbidden where that is not below `root`."""
    real = os.path.realpath(name, strict=True)
    if not Path(real).is_relative_to(os.path.realpath(root, strict=True)):
        raise SecretForbidden(f"{name} leads out of {root}")
    return real


def looked_at(name: Path, real: str, *, group_read: bool) -> Stat:
    """Return what tells a change, without opening it: a FIFO or a device is never touched."""
    return _trusted(Path(real).lstat(), name, group_read=group_read)


def read_private(
    name: Path, real: str, *, group_read: bool, others_read: bool = False, most: int = MOST
) -> str:
    """Return the text of a file that nobody else may read, but for those who are said to.

    Raises SecretForbidden, SecretMalformed, OSError.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(real, flags), "rb", buffering=0) as file:  # noqa: PTH123  by descriptor
        found = os.fstat(file.fileno())
        _trusted(found, name, group_read=group_read, others_read=others_read)
        content = file.read(most + 1) or b""
    if len(content) > most:
        raise SecretMalformed(f"{name} is larger than {most // 1024} KiB")
    return _text(content, name)


def _trusted(
    found: os.stat_result, name: Path, *, group_read: bool, others_read: bool = False
) -> Stat:
    if not stat.S_ISREG(found.st_mode):
        raise SecretForbidden(f"{name} is no regular file")
    mode = stat.S_IMODE(found.st_mode)
    if others_read:
        refused, remedy = _ALL_BUT_READ, "go-w"
    else:
        refused, remedy = (_ALL_BUT_GROUP_READ if group_read else _OTHERS), "600"
    if mode & refused:
        why = "is open to its group or to others"
        if group_read:
            why = "is open to others, or to its group for more than reading"
        message = f"{name} {why} (mode {mode:04o})"
        raise SecretForbidden(message, hint=f"chmod {remedy} {name}")
    inode = (found.st_dev, found.st_ino)
    return Stat(inode, found.st_size, mode, found.st_mtime_ns, found.st_ctime)


def _text(content: bytes, name: Path) -> str:
    if b"\0" in content:
        raise SecretMalformed(f"{name} holds a NUL")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretMalformed(f"{name} is not UTF-8") from None
