"""A shared store whose address a secret store keeps: it follows each new value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from proxy.errors import Unavailable
from proxy.plugin.stores import StoreAddress, address_of

if TYPE_CHECKING:
    from proxy.ports.secrets import BoundSecret, SecretRef, Secrets
    from proxy.ports.stores import Store

AGAIN_FIRST = 1.0
AGAIN_MOST = 30.0
"""Seconds between two tries to get the address, doubled while there is none."""


class StoreOfSecret:
    """The store at the address that a secret holds (`proxy.ports.stores.Store`)."""

    def __init__(
        self, reference: SecretRef, secrets: Secrets, client: Callable[[StoreAddress], Store]
    ) -> None:
        """`client` returns the process's client for an address."""
        self._reference = reference
        self._secrets = secrets
        self._client = client
        self._bound: BoundSecret | None = None
        self._version: int | None = None
        self._store: Store | None = None

    def __repr__(self) -> str:
        return f"<StoreOfSecret {self._reference} {self._store}>"

    async def bind(self) -> bool:
        """Get the address, and say whether it was to be had. Raises ConfigError: it never will be."""
        try:
            self._bound = await self._secrets.bind(self._reference)
        except Unavailable:
            return False
        return True

    async def bind_later(self) -> None:
        """Try on until the address is to be had."""
        pause = AGAIN_FIRST
        while not await self.bind():
            await asyncio.sleep(pause)
            pause = min(pause * 2, AGAIN_MOST)

    @property
    def away(self) -> str | None:
        """Why nothing is asked of it now, None while it answers."""
        try:
            return self._there().away
        except Unavailable as error:
            return str(error)

    async def run(self, script: str, keys: Sequence[str], args: Sequence[str | int | float]) -> Any:
        """Run a Lua script there."""
        return await self._there().run(script, keys, args)

    async def once(self, key: str, seconds: float) -> bool:
        """Say whether `key` is used for the first time."""
        return await self._there().once(key, seconds)

    def _there(self) -> Store:
        """Return the client for the address as it is now."""
        if self._bound is None:
            raise self._unknown("the secret store is away")
        if self._store is None or self._bound.version != self._version:
            try:
                version, address = self._bound.version, address_of(self._bound.current)
            except Unavailable:
                raise self._unknown("the secret store has no value for it") from None
            except ValueError:
                raise self._unknown("what the secret store holds is no address") from None
            self._store, self._version = self._client(address), version
        return self._store

    def _unknown(self, why: str) -> Unavailable:
        message = f"the address of the store ({self._reference}) is not known: {why}"
        return Unavailable(message, code="store_unavailable")
