"""The bytes of a fixed answer, and what they are."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from proxy import ConfigError

MOST = 1024 * 1024
"""Bytes of a file: it is kept in memory, once for each entry that names it."""

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

_UNKNOWN = "application/octet-stream"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": JSON,
    ".md": "text/markdown; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": TEXT,
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".xml": "application/xml",
}
"""Python's `mimetypes` reads files of the machine, and would answer differently on another."""


def as_json(value: Any) -> bytes:
    """Return a value of the file as JSON. Raises ValueError for numbers that JSON has not."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def type_of(path: Path) -> str:
    """Return the media type of a file by its name."""
    return _TYPES.get(path.suffix.lower(), _UNKNOWN)


def read(path: Path) -> bytes:
    """Return a file's bytes. Blocks. Raises ConfigError for one that can't be a body."""
    try:
        # Opening a FIFO would wait for somebody to write into it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"'{path}' is no regular file")
        with path.open("rb") as file:
            body = file.read(MOST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "this is no file's name"
        raise ConfigError(f"'{path}' can't be read: {why}") from error
    if len(body) > MOST:
        raise ConfigError(
            f"'{path}' has more than {MOST // 1024**2} MiB",
            hint="large files are better served by an upstream",
        )
    return body
