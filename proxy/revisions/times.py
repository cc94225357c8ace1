"""How a time of acceptance is written."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at: float) -> str:
    """Return a wall clock time as RFC 3339 has it, in UTC, to the second."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
