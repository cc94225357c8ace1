"""What was decided, in plain numbers: they become metrics at a scrape only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from plugins.rate_limit.memory import Memory


@dataclass(slots=True)
class Counts:
    """Requests by outcome, and the memories of those that count."""

    admitted: int = 0
    refused: int = 0
    admitted_alone: int = 0
    refused_alone: int = 0
    unchecked: int = 0
    unavailable: int = 0
    memories: tuple[Memory, ...] = ()

    def join(self, memory: Memory) -> Memory:
        """Count the keys of `memory` too. A scrape in another thread sees it or not, as a whole."""
        self.memories = (*self.memories, memory)
        return memory

    def leave(self, memory: Memory) -> None:
        """Count them no more."""
        self.memories = tuple(each for each in self.memories if each is not memory)

    def outcomes(self) -> Iterator[tuple[str, int]]:
        """Yield each outcome and its count."""
        for each in fields(self):
            if each.name != "memories":
                yield each.name, getattr(self, each.name)
