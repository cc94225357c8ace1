"""The port to where credentials are kept: what a file names, and what a plugin gets of it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, slots=True)
class Lease:
    """The timed right to a dynamic secret: `id` is the store's, `seconds` is how long it is good."""

    id: str
    seconds: float
    renewable: bool


class Secret:
    """What a store has at one path. Nothing that shows it shows a value; it is never pickled.

    `fields` are texts by name; `version` is the store's own number, where it counts (KV version 2);
    `lease` is there for a secret that was made for us. Two fetches that gave the same are one object
    to those who ask a `KeptStore`: compare by `is` to know whether it has changed.
    """

    __slots__ = ("fields", "lease", "version")

    def __init__(
        self, fields: Mapping[str, str], version: int | None = None, lease: Lease | None = None
    ) -> None:
        self.fields = fields
        self.version = version
        self.lease = lease

    def __repr__(self) -> str:
        counted = "" if self.version is None else f" version={self.version}"
        return f"<Secret {len(self.fields)} fields{counted}>"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


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


class KeptSecret(Protocol):
    """What is kept of one path: good to be used without asking while `monotonic() < until`."""

    @property
    def secret(self) -> Secret | None:
        """What the store gave last, None where it has none, or has taken it back."""

    @property
    def until(self) -> float:
        """A `time.monotonic()` reading: later, ask `KeptStore.get` again."""

    @property
    def stale(self) -> bool:
        """Whether it is used only because the store can't be asked."""


class KeptStore(Protocol):
    """A store behind its cache, for paths that are known per request.

    One fetch at a time for each path. What the store can't confirm is used for a while; what it no
    longer has, or forbids, is forgotten at once.
    """

    async def get(self, path: str) -> KeptSecret:
        """Return what is kept of `path`, fetched where that is not fresh: its `secret` is there.

        Raises SecretMissing, SecretForbidden, SecretMalformed, or SecretAway where the store can't
        say within a second and nothing is kept that may still be used.
        """

    async def again(self, path: str, used: Secret) -> KeptSecret:
        """Return what is kept of `path`, fetched anew where that is still `used`: it was refused.

        How often one path is fetched so is bounded. Raises SecretError as `get` does.
        """

    async def refresh(self, path: str) -> KeptSecret:
        """Return what the store has now, whatever is kept: for who is about to write.

        Its `stale` says that the store could not be asked. Raises SecretError as `get` does.
        """

    def writes(self, path: str) -> str | None:
        """Return why `put` can't be used for `path`, None where it can."""

    async def put(self, path: str, fields: Mapping[str, str], used: Secret) -> KeptSecret:
        """Write fields in place of `used`, if the store still has that, and keep them.

        Raises SecretConflict where another has written since; SecretForbidden; SecretAway, after
        which it may have been written or not.
        """


class Secrets(Protocol):
    """A plugin's way to the stores of the file."""

    def store(self, name: str | None = None) -> KeptStore:
        """Return a store by its name in the section `secrets`; None for the only one.

        Raises ConfigError where the file has no such store, or several and none is named.
        """

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
    ├── SecretConflict    another has written it since it was read
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


class SecretConflict(SecretError):
    """Another has written it since it was read."""


class SecretAway(SecretError):
    """The store can't say now. `retry_after` is in seconds, where the store says how long."""

    def __init__(
        self, message: str, *, hint: str | None = None, retry_after: float | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, hint=hint)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long what a store gave is used, in seconds.

    `fresh`: without asking again. `stale_if_error`: while the store can't be asked, counted from the
    last time that it confirmed the value. `negative`: that a path is missing or forbidden. `most`
    bounds how many paths are kept.
    """

    fresh: float
    stale_if_error: float = 3600.0
    negative: float = 5.0
    most: int = 50_000


@dataclass(frozen=True, slots=True)
class StoreState:
    """How a store fares now: `why` it is not to be had, None where it is.

    Of a store that has a token of its own: `token_left`, the seconds that it is still good for, None
    for one without end; `logins` and `renewals`, how often it logged in and got more time. They are
    None where there is no such thing.
    """

    why: str | None = None
    token_left: float | None = None
    logins: int | None = None
    renewals: int | None = None


class SecretStore(ABC):
    """Where secrets are kept: a path leads to some fields, each a text that is not empty."""

    keeping: Keeping
    """How long what it gave is used."""

    on_leases_end: Callable[[float], None] | None = None
    """Called by a store whose leases end with the token of their time, after so many seconds."""

    async def open(self) -> None:  # noqa: B027  most stores have nothing to do
        """Get ready to be asked, ahead of the first question. Raises SecretError."""

    @abstractmethod
    async def get(self, path: str) -> Secret:
        """Return what is at `path`, without blocking the loop. Raises SecretError.

        It may be asked often: what has not changed need not be read again.
        """

    @abstractmethod
    def remedy(self, path: str, field: str) -> str:
        """Say in one sentence where it would look for a field."""

    def remedy_of_field(self, path: str, field: str) -> str:
        """Say the same where the path is there, and the field is not."""
        return self.remedy(path, field)

    def writes(self, path: str) -> str | None:
        """Return why `put` can't be used for `path`, None where it can. No I/O."""
        return "it can't be written by the gateway"

    async def put(self, path: str, fields: Mapping[str, str], version: int) -> Secret:
        """Write what replaces `version`, and return it as it is kept now.

        Raises SecretConflict where `version` is not the last one, else SecretError.
        """
        raise SecretForbidden(f"'{path}': {self.writes(path)}")

    async def renew(self, lease: Lease) -> Lease:
        """Ask for more time, and return what is left now. Raises SecretMissing where it has ended."""
        raise SecretMissing("there are no leases here")

    async def revoke(self, lease: Lease) -> None:  # noqa: B027  most stores lease nothing
        """Give a lease back before its time. Raises SecretError."""

    async def ready(self) -> str | None:
        """Return None, or why the store is not to be had now, for /ready. It asks nobody."""
        return self.state().why

    def state(self) -> StoreState:
        """Return how it fares, for operators: no I/O, from any thread, and no path in its words."""
        return StoreState()

    async def close(self) -> None:  # noqa: B027  most stores hold nothing open
        """Let go of everything."""
