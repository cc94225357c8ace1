"""What became of requests, in plain numbers: they become metrics at a scrape only."""

from __future__ import annotations

from dataclasses import dataclass

METRIC = "brain_credentials"
TEXT = (
    "Requests by where their credential came from: remembered, asked (of the store), stale (the store "
    "could not be asked), renewed (a second try, behind an upstream's refusal), refused (there was none "
    "to be had)."
)


@dataclass(slots=True)
class Counts:
    """Requests by where their credential came from: this memory, the store, or nowhere."""

    remembered: int = 0
    asked: int = 0
    stale: int = 0
    renewed: int = 0
    refused: int = 0
