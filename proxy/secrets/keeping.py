"""The stores of one snapshot, and the values that its plugins are bound to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from proxy.config.models import SecretStores
from proxy.errors import ConfigError, Unavailable
from proxy.ports.secrets import SecretAway, SecretError, SecretRef, SecretStore
from proxy.secrets.bound import Bound
from proxy.secrets.kept import Kept
from proxy.tasks import Tasks


class SecretsKept:
    """A plugin's `context.secrets`. One task looks again at what may have changed."""

    def __init__(self, stores: Mapping[str, SecretStore]) -> None:
        self._stores = stores
        self._kept: dict[tuple[str, str], Kept] = {}
        self._looking: set[str] = set()
        self._tasks = Tasks()

    def __repr__(self) -> str:
        return f"<SecretsKept {', '.join(self._stores) or 'no stores'} paths={len(self._kept)}>"

    async def bind(self, reference: SecretRef) -> Bound:
        """Return the value that `reference` names, fetched once before this returns.

        Raises ConfigError where the store has none, or there is no such store; Unavailable where
        the store is away.
        """
        name, store = self._store_of(reference)
        key = (name, reference.path)
        kept = self._kept.setdefault(key, Kept(store, reference.path))
        try:
            bound = await kept.bind(reference)
        except SecretAway as error:
            message = f"secret {reference}: {error}"
            raise Unavailable(message, code="secret_unavailable") from None
        except SecretError as error:
            hint = error.hint or store.remedy(reference)
            raise ConfigError(f"secret {reference}: {error}", hint=hint) from None
        if bound is None:
            message = f"secret {reference}: the store '{name}' has no such field"
            raise ConfigError(message, hint=store.remedy(reference))
        self._look_after(name, store)
        return bound

    def _store_of(self, reference: SecretRef) -> tuple[str, SecretStore]:
        if not self._stores:
            message = f"secret {reference}: there are no stores"
            raise ConfigError(message, hint="say where secrets are kept: secrets: {file: {}}")
        if reference.store is None and len(self._stores) > 1:
            known = " or ".join(self._stores)
            raise ConfigError(f"secret {reference}: which store?", hint=f"add 'store': {known}")
        name = reference.store or next(iter(self._stores))
        if name not in self._stores:
            raise ConfigError(f"secret {reference}: there is no store '{name}'")
        return name, self._stores[name]

    def _look_after(self, name: str, store: SecretStore) -> None:
        if store.look_again is not None and name not in self._looking:
            self._looking.add(name)
            looking = self._look_again(name, store.look_again)
            self._tasks.spawn(looking, name=f"secrets: {name}")

    async def _look_again(self, name: str, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            await self.refresh(name)

    async def refresh(self, name: str) -> None:
        """Ask a store again for all that is bound to it."""
        for (store, _), kept in list(self._kept.items()):
            if store == name:
                await kept.refresh()

    def not_ready(self) -> dict[str, str]:
        """Return why values are not there that were, by reference."""
        every = [bound for kept in self._kept.values() for bound in kept.bound]
        return {f"secret {bound.reference}": bound.why for bound in every if bound.why}

    async def close(self) -> None:
        """Stop looking."""
        await self._tasks.cancel()


def open_stores(section: SecretStores) -> Mapping[str, SecretStore]:
    """Return the stores of the section `secrets`, each imported where the file has it."""
    stores: dict[str, SecretStore] = {}
    if section.file is not None:
        from proxy.secrets.files import FileStore

        stores["file"] = FileStore(section.file)
    if section.env is not None:
        from proxy.secrets.environment import EnvStore

        stores["env"] = EnvStore(section.env)
    return stores
