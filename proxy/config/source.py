"""The text of one file and the places in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from proxy.config.models import Place

# What YAML 1.1 (and so libyaml) counts as line breaks; str.splitlines knows more and would drift.
_BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(eq=False)
class Source:
    """One file as it was read. `order` is its place among the files of this load.

    `ends` leads from the line and column of a text that has several lines to its last line and the
    column (from 0) behind it. `hidden` are columns (from 0) of a line that are never shown.
    """

    name: str
    text: str = field(repr=False, default="")
    order: int = 0
    ends: dict[tuple[int, int], tuple[int, int]] = field(repr=False, default_factory=dict)
    hidden: dict[int, list[tuple[int, int]]] = field(repr=False, default_factory=dict)

    @cached_property
    def lines(self) -> list[str]:
        """The text by lines, as the parser counts them."""
        return _BREAKS.split(self.text)

    @property
    def folder(self) -> Path:
        """What relative paths inside the file are relative to."""
        return Path(self.name).parent


class Span(NamedTuple):
    """`length` characters from line and column, which count from 1.

    Line 0 is the file as a whole; length 0 has no text to be shown.
    """

    source: Source
    line: int
    column: int
    length: int = 1

    @property
    def order(self) -> tuple[int, int, int]:
        """How diagnostics are sorted."""
        return self.source.order, self.line, self.column

    @property
    def place(self) -> Place:
        """The same without the text, to be kept."""
        return Place(self.source.name, self.line, self.column)

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}" if self.line else self.source.name
