"""What became of requests, in plain numbers: they become metrics at a scrape only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Requests by where their credential came from: this memory, the store, or nowhere."""

    remembered: int = 0
    asked: int = 0
    stale: int = 0
    renewed: int = 0
    refused: int = 0
