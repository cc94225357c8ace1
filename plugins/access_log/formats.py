"""How a line is written: JSON, or text for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from plugins.access_log.line import Line
from plugins.access_log.phases import Phases, Try

Format = Callable[[Line], bytes]

_encoder = msgspec.json.Encoder()
_MARK = re.compile(r'[ "=]')
_BARE = ("time", "status", "method", "path")
_KEYS = tuple(name for name in Line.__struct_fields__ if name not in (*_BARE, "ms", "tries"))
_OF_TRY = tuple(name for name in Try.__struct_fields__ if name != "ms")


def as_json(line: Line) -> bytes:
    """Return one JSON object and a newline."""
    return _encoder.encode(line) + b"\n"


def as_text(line: Line) -> bytes:
    """Return time, status, method and path bare, and all other fields as `key=value`."""
    written = [line.time, str(line.status), line.method, _quoted(line.path)]
    for name, value in _pairs(line):
        if isinstance(value, Mapping):
            written += [f"{name}.{key}={_quoted(each)}" for key, each in value.items()]
        else:
            written.append(f"{name}={_text(value)}")
    return (" ".join(written) + "\n").encode()


def _pairs(line: Line) -> Iterator[tuple[str, Any]]:
    for name in _KEYS:
        if (value := getattr(line, name)) or value == 0:
            yield name, value
    yield from _phases("ms", line.ms)
    for number, one in enumerate(line.tries or (), 1):
        for name in _OF_TRY:
            if value := getattr(one, name):
                yield f"try.{number}.{name}", value
        yield from _phases(f"try.{number}.ms", one.ms)


def _phases(name: str, of: Phases) -> Iterator[tuple[str, float]]:
    for phase in Phases.__struct_fields__:
        if (value := getattr(of, phase)) is not None:
            yield f"{name}.{phase}", value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _quoted(str(value))


def _quoted(value: str) -> str:
    """Put quotes around what would not be read back as one value."""
    if value and _MARK.search(value) is None:
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


FORMATS: Mapping[str, Format] = {"json": as_json, "text": as_text}
