"""The stores of one snapshot, and the values that its plugins are bound to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

from proxy.errors import ConfigError, Unavailable
from proxy.ports.secrets import SecretAway, SecretError, SecretRef
from proxy.secrets.bound import Bound
from proxy.secrets.cache import SecretCache

OPEN_WITHIN = 1.0
"""Seconds that stores may take to get ready before a snapshot goes on without."""


class SecretsKept:
    """A plugin's `context.secrets`: the caches of the file's stores, which other snapshots share."""

    def __init__(self, stores: Mapping[str, SecretCache]) -> None:
        self.stores = stores
        self._bound: dict[tuple[str, str, str], Bound] = {}
        self._since = monotonic()

    def __repr__(self) -> str:
        return f"<SecretsKept {', '.join(self.stores) or 'no stores'} bound={len(self._bound)}>"

    async def open(self) -> None:
        """Let the stores get ready, for a moment: one that is away says so to those who ask it."""
        opening = {cache.open(): cache for cache in self.stores.values()}
        if opening:
            _, late = await asyncio.wait(opening, timeout=OPEN_WITHIN)
            for each in late:
                opening[each].hangs()

    def store(self, name: str | None = None) -> SecretCache:
        """Return a store by its name, or the only one. Raises ConfigError."""
        known = " or ".join(self.stores)
        if not self.stores:
            hint = "say where secrets are kept: secrets: {file: {}}"
            raise ConfigError("there are no stores", hint=hint)
        if name is None and len(self.stores) > 1:
            raise ConfigError("which store?", hint=f"add 'store': {known}")
        found = name or next(iter(self.stores))
        if found not in self.stores:
            raise ConfigError(f"there is no store '{found}'", hint=f"known: {known}")
        return self.stores[found]

    async def bind(self, reference: SecretRef) -> Bound:
        """Return the value that `reference` names, fetched once before this returns.

        Raises ConfigError where the store has none, or there is no such store; Unavailable where
        the store is away.
        """
        try:
            cache = self.store(reference.store)
        except ConfigError as error:
            raise ConfigError(f"secret {reference}: {error}", hint=error.hint) from None
        key = (cache.name, reference.path, reference.field)
        try:
            found = await cache.bind(reference, self._bound.get(key), since=self._since)
        except SecretAway as error:
            message = f"secret {reference}: {error}"
            raise Unavailable(message, code="secret_unavailable") from None
        except SecretError as error:
            hint = error.hint or cache.store.remedy(reference.path, reference.field)
            raise ConfigError(f"secret {reference}: {error}", hint=hint) from None
        if found is None:
            message = f"secret {reference}: the store '{cache.name}' has no such field"
            hint = cache.store.remedy_of_field(reference.path, reference.field)
            raise ConfigError(message, hint=hint)
        self._bound[key] = found
        return found

    async def not_ready(self) -> dict[str, str]:
        """Return why values are not there that were, by reference, and what ails the stores."""
        reasons = {
            f"secret {bound.reference}": bound.why for bound in self._bound.values() if bound.why
        }
        for name, cache in self.stores.items():
            reason = await cache.ready()
            if reason:
                reasons[f"secrets {name}"] = reason
        return reasons

    def close(self) -> None:
        """Let go of what was bound."""
        for bound in self._bound.values():
            self.store(bound.reference.store).unbind(bound)
        self._bound.clear()
