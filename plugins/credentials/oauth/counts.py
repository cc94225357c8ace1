"""What became of renewals, in plain numbers: they become metrics at a scrape only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counts:
    """Renewals by outcome, and failures to write what was got."""

    renewed: int = 0
    shared: int = 0
    rejected: int = 0
    failed: int = 0
    unwritten: int = 0

    def outcomes(self) -> Iterator[tuple[str, int]]:
        """Yield each outcome and its count."""
        for each in fields(self):
            yield each.name, getattr(self, each.name)
