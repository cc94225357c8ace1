"""What the options of a plugin refer to in stores of secrets, found in their converted form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.plugin.references import STORE_KEY
from proxy.plugin.secret_path import SecretPath
from proxy.ports.secrets import SecretRef

At = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Referred:
    """One place that refers to a store, None for the only one.

    `at` leads to it among the options, `around` to the mapping that may have `store`. `field` is
    None for a path of which the templates beside it name fields.
    """

    path: SecretPath
    field: str | None
    store: str | None
    at: At
    around: At

    def __str__(self) -> str:
        return self.path.text if self.field is None else f"{self.path.text}#{self.field}"


def referred(value: Any, at: At = (), store: str | None = None) -> Iterator[Referred]:
    """Yield all references of `value`. A path takes the `store` that stands beside it, or above."""
    if isinstance(value, SecretRef):
        yield Referred(SecretPath.compile(value.path), value.field, value.store, at, at)
    elif isinstance(value, Mapping):
        named = value.get(STORE_KEY)
        store = named if isinstance(named, str) else store
        for key, below in value.items():
            yield from _paths(below, store, (*at, key), at)
            yield from referred(below, (*at, key), store)
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from referred(below, (*at, index), store)


def _paths(value: Any, store: str | None, at: At, around: At) -> Iterator[Referred]:
    if isinstance(value, SecretPath):
        yield Referred(value, None, store, at, around)
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _paths(one, store, (*at, index), around)
