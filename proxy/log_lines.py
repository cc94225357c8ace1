"""How a record of the gateway's own log is written: a JSON object, or text for people."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from proxy.text import printable

LONGEST = 16 * 1024
"""Characters of a message or of a traceback; the rest of a longer one is cut."""

BELOW = "excerpt"
"""Name in `extra` of lines that belong below the message; they keep their line ends."""

_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "asctime", "message", "taskName", BELOW})
"""What every record has; anything else was given by `extra` and is written too."""


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, message, `extra`, excerpt, error."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage(), LONGEST),
            **dict(_extra_of(record)),
        }
        if below := _below(record):
            fields[BELOW] = "\n".join(below)
        if traceback := _traceback_of(record, self):
            fields["error"] = "\n".join(traceback)
        return msgspec.json.encode(fields).decode()


class TextFormatter(logging.Formatter):
    """One line a record; an excerpt and a traceback follow, indented, so that none looks like one."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={value}" for name, value in _for_people(record))
        message = printable(record.getMessage(), LONGEST)
        head = f"{_time_of(record)} {record.levelname.lower():8}{record.name}: {message}{extra}"
        return "\n    ".join([head, *_below(record), *_traceback_of(record, self)])


FORMATTERS: Mapping[str, type[logging.Formatter]] = {"json": JsonFormatter, "text": TextFormatter}


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra_of(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    for name, value in vars(record).items():
        if name not in _STANDARD:
            if isinstance(value, list | tuple):
                yield name, [printable(str(each)) for each in value]
            else:
                plain = value is None or isinstance(value, bool | int | float)
                yield name, value if plain else printable(str(value))


def _for_people(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """Yield what a reader needs: an excerpt shows the place and the hint already."""
    shown = {"file", "line", "column", "hint"} if _below(record) else frozenset()
    return ((name, value) for name, value in _extra_of(record) if name not in shown)


def _below(record: logging.LogRecord) -> list[str]:
    text = str(getattr(record, BELOW, ""))[:LONGEST]
    return [printable(line) for line in text.splitlines()]


def _traceback_of(record: logging.LogRecord, formatter: logging.Formatter) -> list[str]:
    if not record.exc_info or record.exc_info[0] is None:
        return []
    text = formatter.formatException(record.exc_info)[-LONGEST:]
    return [printable(line) for line in text.splitlines()]
