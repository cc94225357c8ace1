"""The port to where credentials are kept: what a file names, and what a plugin gets of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SecretRef:
    """`{secret: path, field: name}` as a file has it: which value of which store.

    `store` is a name of the section `secrets`, None for the only one that there is.
    """

    path: str
    field: str
    store: str | None = None

    def __str__(self) -> str:
        return f"{self.path}#{self.field}"


class BoundSecret(Protocol):
    """A value of a store, kept fresh for as long as the snapshot lives that asked for it."""

    @property
    def current(self) -> str:
        """The value now. Raises Unavailable, `secret_unavailable`, where there is none to be had."""

    @property
    def version(self) -> int:
        """A number that grows with each new value: compare it to know what was made of an old one."""


class Secrets(Protocol):
    """A plugin's way to the stores of the file."""

    async def bind(self, reference: SecretRef) -> BoundSecret:
        """Return the value that `reference` names, fetched once before this returns.

        Raises ConfigError where the store knows no such path or field, or forbids it, or where the
        file has no such store; Unavailable where the store is away.
        """
