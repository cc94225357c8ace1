"""A store of secrets for tests: what a mapping holds, and what it holds later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from proxy.ports.secrets import SecretMissing, SecretRef
from proxy.secrets.bound import Bound
from proxy.secrets.keeping import SecretsKept

Store = Mapping[str, Mapping[str, str]]
"""Paths to fields to values: `{"platform/redis": {"url": "redis://…"}}`. A change is seen at once."""

LOOK_AGAIN = 0.02


class _MappingStore:
    look_again: float | None = LOOK_AGAIN

    def __init__(self, held: Store) -> None:
        self._held = held

    async def get(self, path: str) -> Mapping[str, str]:
        if path not in self._held:
            raise SecretMissing(f"the test's store has no '{path}'")
        return self._held[path]

    def remedy(self, reference: SecretRef) -> str:
        return f"give the test store={{'{reference.path}': {{'{reference.field}': …}}}}"


class TestSecrets(SecretsKept):
    """Finds every reference in one mapping, whichever store it names."""

    __test__ = False

    def __init__(self, held: Store) -> None:
        super().__init__({"test": _MappingStore(held)})

    async def bind(self, reference: SecretRef) -> Bound:
        """Return the value that `reference` names, kept as fresh as in a gateway."""
        return await super().bind(replace(reference, store=None))


def values_of(held: Store) -> Iterator[tuple[str, str]]:
    """Yield every value of a store, by the name that may be told."""
    for path, fields in held.items():
        for field, value in fields.items():
            yield str(SecretRef(path, field)), value
