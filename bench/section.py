"""What a scenario hands to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.bounds import Verdict


@dataclass
class Table:
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)


@dataclass
class Section:
    """One scenario's results. ``notes`` are whole sentences: how, what was absent, what failed."""

    title: str
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    failed: bool = False
