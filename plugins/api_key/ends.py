"""When a key ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any


def moment_of(text: str) -> datetime:
    """Return when a key ends: a date means the end of that day in UTC, as on a bank card.

    Raises ValueError for another form than RFC 3339's, and for a time without an offset.
    """
    if len(text) == len("2027-01-31"):
        day = date.fromisoformat(text) + timedelta(days=1)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return moment


def end_of(entry: Mapping[str, Any]) -> float | None:
    """Return the end of an entry in seconds since 1970, None for never."""
    text = entry.get("expires")
    return None if text is None else moment_of(text).timestamp()
