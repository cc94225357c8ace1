"""Raw fields, looked at by name. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Field = tuple[bytes, bytes]
Values = Mapping[bytes, bytes]
"""Lower-case names to values, those of one name joined by commas (RFC 9110, 5.3)."""

REMEMBERED = 256
"""Bytes of a value up to which what it means is remembered: the usual ones are short, and a memory that
counts its entries must not hold large ones."""

_MOST = 1024
_LONGEST = 64


class _Lower(dict[bytes, bytes]):
    """Names seen and their lower case; bounded, as clients choose them."""

    def __missing__(self, name: bytes) -> bytes:
        lower = name.lower()
        if len(name) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[name] = lower
        return lower


LOWER: dict[bytes, bytes] = _Lower()


def by_name(fields: Iterable[Field]) -> dict[bytes, bytes]:
    """Return `Values` of raw fields."""
    values: dict[bytes, bytes] = {}
    repeated: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        lower = LOWER[name]
        if lower in values:
            # Joined once, at the end: a head may be one name a thousand times.
            repeated.setdefault(lower, [values[lower]]).append(value)
        else:
            values[lower] = value
    for lower, lines in repeated.items():
        values[lower] = b", ".join(lines)
    return values


def names_in(value: bytes | None) -> list[bytes]:
    """Return the lower-case members of a list of names, such as that of `Vary`."""
    if not value:
        return []
    return [name for part in value.split(b",") if (name := part.strip().lower())]


def whole_number(value: bytes, most: int) -> int | None:
    """Return the number that digits write, at most `most`; None for what is no number.

    Python refuses to read thousands of digits, and leading zeros are none that count.
    """
    if not value.isdigit():
        return None
    digits = value.lstrip(b"0")
    return most if len(digits) > len(str(most)) else min(int(digits or b"0"), most)


def text(raw: bytes) -> str:
    """Return raw bytes as the gateway reads them: text from which the same bytes are made."""
    return raw.decode("utf-8", "surrogateescape")
