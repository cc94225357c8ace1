"""The files of a configuration as they were read: what is kept of one, and what it is made of anew."""

from __future__ import annotations

from typing import NamedTuple


class FileText(NamedTuple):
    """One file of the language. `name` is as it was given or matched; `text` has no `${NAME}` filled.

    `included` says that a pattern of `include` named it.
    """

    name: str
    text: str
    included: bool = False


class Kept(NamedTuple):
    """An accepted revision: its hash, when it was accepted (wall clock), and its files in order."""

    revision: str
    accepted: float
    texts: tuple[FileText, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that were named when it was loaded, those that they include left out."""
        return tuple(each.name for each in self.texts if not each.included)
