"""Random keys that the gateway makes for its plugins, and keeps where it may."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from proxy.errors import ConfigError

SIZE = 32
FOLDER = "keys"


def kept_key(state_dir: str, name: str) -> bytes:
    """Return the key of that name in a `state_dir`, made by the first who asks; it blocks.

    Processes that ask at once get the same: a whole file is linked into its place, or the one that
    stands there is read. Raises ConfigError where that can't be, and for a file that others may read.
    """
    folder = Path(state_dir) / FOLDER
    path = folder / f"{name}.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _put(path)
        return _read(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or type(error).__name__}") from None


def _put(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process was faster: its key is the one
    finally:
        draft.unlink()


def _read(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise ConfigError(f"{path}: others may read it", hint=f"chmod 600 {path}")
        key = file.read(SIZE + 1)
    if len(key) != SIZE:
        raise ConfigError(f"{path}: this is no key of {SIZE} bytes", hint="remove the file")
    return key
