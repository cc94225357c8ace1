"""A store of secrets for tests: what a mapping holds, and what it holds later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.ports.secrets import Keeping, Secret, SecretMissing, SecretRef, SecretStore
from proxy.secrets.cache import SecretCache
from proxy.secrets.keeping import SecretsKept

Store = Mapping[str, Mapping[str, str]]
"""Paths to fields to values: `{"platform/redis": {"url": "redis://…"}}`. A change is seen at once."""

LOOK_AGAIN = 0.02


class _MappingStore(SecretStore):
    keeping = Keeping(fresh=LOOK_AGAIN)

    def __init__(self, held: Store) -> None:
        self._held = held

    async def get(self, path: str) -> Secret:
        if path not in self._held:
            raise SecretMissing(f"the test's store has no '{path}'")
        return Secret(dict(self._held[path]))

    def remedy(self, path: str, field: str) -> str:
        return f"give the test store={{'{path}': {{'{field}': …}}}}"


class TestSecrets(SecretsKept):
    """Finds every reference in one mapping, whichever store it names."""

    __test__ = False

    def __init__(self, held: Store) -> None:
        self._cache = SecretCache("test", _MappingStore(held))
        super().__init__({"test": self._cache})

    def store(self, name: str | None = None) -> SecretCache:
        """Return the mapping, kept as fresh as in a gateway."""
        return self._cache

    async def end(self) -> None:
        """Stop asking it."""
        self.close()
        await self._cache.close()


def values_of(held: Store) -> Iterator[tuple[str, str]]:
    """Yield every value of a store, by the name that may be told."""
    for path, fields in held.items():
        for field, value in fields.items():
            yield str(SecretRef(path, field)), value
