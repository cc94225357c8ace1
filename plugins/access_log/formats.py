"""How a line is written: JSON, or text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from plugins.access_log.line import Line

Format = Callable[[Line], bytes]

_encoder = msgspec.json.Encoder()


def as_json(line: Line) -> bytes:
    """Return one JSON object and a newline."""
    return _encoder.encode(line) + b"\n"


def as_text(line: Line) -> bytes:
    """Return the fields as `key=value`, the first four bare: time, status, method, path."""
    fields = msgspec.to_builtins(line)
    bare = [_quoted(str(fields.pop(name))) for name in ("time", "status", "method", "path")]
    pairs = [f"{name}={_quoted(str(value))}" for name, value in _flat("", fields)]
    return (" ".join([*bare, *pairs]) + "\n").encode()


FORMATS: Mapping[str, Format] = {"json": as_json, "text": as_text}


def _flat(prefix: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value


def _quoted(value: str) -> str:
    """Put quotes around what would not be read back as one value."""
    plain = value and not any(mark in value for mark in ' "=')
    return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
