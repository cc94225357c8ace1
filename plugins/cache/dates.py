"""HTTP dates (RFC 9110, 5.6.7)."""

from __future__ import annotations

from calendar import timegm
from email.utils import formatdate, parsedate_tz
from functools import lru_cache

from plugins.cache.fields import REMEMBERED


def parse_date(value: bytes) -> int | None:
    """Return the seconds since 1970, None for what is no date."""
    return _remembered(value) if len(value) <= REMEMBERED else _parsed(value)


def _parsed(value: bytes) -> int | None:
    try:
        found = parsedate_tz(value.decode("ascii"))
        return None if found is None else timegm(found[:6])
    except (ValueError, OverflowError, IndexError, TypeError):  # servers send anything here
        return None


_remembered = lru_cache(maxsize=1024)(_parsed)


def format_date(seconds: float) -> bytes:
    """Return seconds since 1970 as an HTTP date."""
    return _formatted(int(seconds))


@lru_cache(maxsize=64)
def _formatted(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()
