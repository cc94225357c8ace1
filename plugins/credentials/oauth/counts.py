"""What became of renewals, in plain numbers: they become metrics at a scrape only."""

from __future__ import annotations

from dataclasses import dataclass

METRIC = "brain_oauth_renewals"
TEXT = (
    "Renewals of access tokens by what came of them: renewed, shared (another gateway had done it), "
    "rejected (the server refuses the grant), failed (the server or the store is away); unwritten are "
    "failures to write a new one back."
)


@dataclass(slots=True)
class Counts:
    """Renewals by outcome, and failures to write what was got."""

    renewed: int = 0
    shared: int = 0
    rejected: int = 0
    failed: int = 0
    unwritten: int = 0
