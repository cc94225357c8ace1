"""Raw fields, looked at by name. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Field = tuple[bytes, bytes]
Values = Mapping[bytes, bytes]
"""Lower-case names to values, those of one name joined by commas (RFC 9110, 5.3)."""

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
    for name, value in fields:
        lower = LOWER[name]
        before = values.get(lower)
        values[lower] = value if before is None else b"%b, %b" % (before, value)
    return values


def names_in(value: bytes | None) -> list[bytes]:
    """Return the lower-case members of a list of names, such as that of `Vary`."""
    if not value:
        return []
    return [name for part in value.split(b",") if (name := part.strip().lower())]


def text(raw: bytes) -> str:
    """Return raw bytes as the gateway reads them: text from which the same bytes are made."""
    return raw.decode("utf-8", "surrogateescape")
