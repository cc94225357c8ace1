"""How durations, sizes, rates and percentages are written: `250ms`, `64KiB`, `50/s`, `20%`.

Each parser takes the text and returns a plain number; a ValueError names the accepted form and
never repeats the text, which may have come from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Mapping[str, int] = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

# At most 9 digits: no unit then reaches a number that a timer or a counter can't hold.
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB)")
_RATE = re.compile(r"([0-9]{1,9})/(?:(s)ec|(m)in|(h)our|(d)ay|([smhd]))")
_STATUSES = re.compile(r"([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")

DURATION_FORM = "a duration such as 250ms, 2s, 5m or 1h"
SIZE_FORM = "a size such as 512B, 64KiB or 10MiB"
RATE_FORM = "a rate such as 50/s, 100/min or 1000/h"
STATUSES_FORM = "statuses such as 2xx, 204 or 200-399, comma-separated"
PERCENT_FORM = "a percentage from 0% to 100%"


# What people write, in lower case, and the unit that they mean.
_LOOSE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*/?\s*(?:per\s+)?([A-Za-z%]*)\s*", re.ASCII)
_TIMES: Mapping[str, str] = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_SIZES: Mapping[str, str] = {
    **dict.fromkeys(("", "b", "byte", "bytes"), "B"),
    **dict.fromkeys(("k", "kb", "kib"), "KiB"),
    **dict.fromkeys(("m", "mb", "mib"), "MiB"),
    **dict.fromkeys(("g", "gb", "gib"), "GiB"),
}
_UNITS: Mapping[str, Mapping[str, str]] = {
    "duration": _TIMES,
    "timer": _TIMES,
    "size": _SIZES,
    "rate": {word: f"/{unit}" for word, unit in _TIMES.items() if unit != "ms"},
    "percent": dict.fromkeys(("", "%", "percent"), "%"),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a period: `50/s` is `Rate(50, 1.0)`. `per` is in seconds."""

    count: int
    per: float

    def __str__(self) -> str:
        unit = next((name for name, seconds in _SECONDS.items() if seconds == self.per), None)
        return f"{self.count}/{unit}" if unit else f"{self.count}/{self.per:g}s"


def parse_duration(text: str) -> float:
    """Return seconds. Raises ValueError for anything but digits and one of ms, s, m, h, d."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"expected {DURATION_FORM}")
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Return bytes. Raises ValueError for anything but digits and one of B, KiB, MiB, GiB."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"expected {SIZE_FORM}")
    return int(found[1]) * _BYTES[found[2]]


def parse_rate(text: str) -> Rate:
    """Return count and period. Raises ValueError for another form, and for a count of 0."""
    found = _RATE.fullmatch(text)
    if not found or int(found[1]) == 0:
        raise ValueError(f"expected {RATE_FORM}")
    return Rate(int(found[1]), _SECONDS[found[found.lastindex or 0]])


def parse_percent(text: str) -> float:
    """Return the share as 0.0 to 1.0. Raises ValueError for another form or more than 100%."""
    found = _PERCENT.fullmatch(text)
    if not found or float(found[1]) > 100:
        raise ValueError(f"expected {PERCENT_FORM}")
    return float(found[1]) / 100


def parse_statuses(text: str) -> tuple[tuple[int, int], ...]:
    """Return inclusive ranges of HTTP statuses. Raises ValueError for another form."""
    return tuple(_range(part.strip()) for part in text.split(","))


def _range(text: str) -> tuple[int, int]:
    found = _STATUSES.fullmatch(text)
    if not found:
        raise ValueError(f"expected {STATUSES_FORM}")
    if found[1]:
        return int(found[1]) * 100, int(found[1]) * 100 + 99
    low, high = int(found[2]), int(found[3] or found[2])
    if high < low:
        raise ValueError(f"expected {STATUSES_FORM}")
    return low, high


def duration_text(seconds: float) -> str:
    """Return seconds as they are written in the largest unit that divides them: 600.0 is `10m`."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def size_text(size: int) -> str:
    """Return bytes as they are written in the largest unit that divides them: 65536 is `64KiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def mended(form: str, value: object) -> str | None:
    """Return how `value` is written in the form `duration`, `timer`, `size`, `rate` or `percent`.

    None when it is not clear what is meant. `5 s`, `5sec` and 5 are `5s`; `10MB` is `10MiB`.
    A bare 0.05 may be 5% or 0.05%.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or form not in _UNITS:
        return None
    found = _LOOSE.fullmatch(str(value))
    unit = _UNITS[form].get(found[2].lower()) if found else None
    if found is None or unit is None:
        return None
    if form == "percent" and not found[2] and 0 < float(found[1]) <= 1:
        return None
    written = found[1] + unit
    try:
        _PARSERS[form](written)
    except ValueError:
        return None
    return None if written == value else written


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "duration": parse_duration,
    "timer": parse_duration,
    "size": parse_size,
    "rate": parse_rate,
    "percent": parse_percent,
}
