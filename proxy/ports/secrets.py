"""The port to where credentials are kept: what a file names, and what a plugin gets of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

PATH_FORM = "names of letters, digits, '.', '_' and '-' with '/' between, such as platform/redis"
"""What a path must look like, in words."""

PATH_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,15}$"
"""The same for schemas. No segment can be `.` or `..`, none is empty, and none begins hidden."""

FIELD_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"
"""What a field may be named."""

_PATH = re.compile(PATH_PATTERN.strip("^$"))
_FIELD = re.compile(FIELD_PATTERN.strip("^$"))


def is_path(text: str) -> bool:
    """Say whether a store may be asked for `text`: no `..`, no empty segment, nothing absolute."""
    return _PATH.fullmatch(text) is not None


def is_field(text: str) -> bool:
    """Say whether a field may have this name."""
    return _FIELD.fullmatch(text) is not None


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
        """A number that grows with each new value, and when a value is taken back.

        Compare it to know what was made of an old one.
        """


class Secrets(Protocol):
    """A plugin's way to the stores of the file."""

    async def bind(self, reference: SecretRef) -> BoundSecret:
        """Return the value that `reference` names, fetched once before this returns.

        Raises ConfigError where the store knows no such path or field, or forbids it, or where the
        file has no such store; Unavailable where the store is away.
        """


class SecretError(Exception):
    """Why a store gives nothing. Its text names places, and never what stands there.

    SecretError
    ├── SecretMissing     there is no such path
    ├── SecretForbidden   it is there, and may not be read, or not be trusted
    ├── SecretMalformed   it is there, and is not what a store can take fields of
    └── SecretAway        the store can't say now

    The first two are the store's own word: what it gave before is no longer to be used. `hint` is a
    remedy in one sentence.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


class SecretMissing(SecretError):
    """There is no such path."""


class SecretForbidden(SecretError):
    """It is there, and may not be read, or not be trusted."""


class SecretMalformed(SecretError):
    """It is there, and is not what a store can take fields of."""


class SecretAway(SecretError):
    """The store can't say now."""


class SecretStore(Protocol):
    """Where secrets are kept: a path leads to some fields, each a text that is not empty."""

    @property
    def look_again(self) -> float | None:
        """Seconds after which what it gave may be old; None where it never changes."""

    async def get(self, path: str) -> Mapping[str, str]:
        """Return the fields of `path`, without blocking the loop. Raises SecretError.

        It may be asked often: what has not changed need not be read again.
        """

    def remedy(self, reference: SecretRef) -> str:
        """Say in one sentence where it would look for the field that `reference` names."""
