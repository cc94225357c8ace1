"""The key by which tickets are sealed now, and the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from plugins.ticket.sealing import Content, Seal, load
from proxy import BoundSecret, ConfigError, PluginContext, SecretRef

SHORTEST = 32
"""Characters of a key that is somebody's own: as many as 128 random bits have in hexadecimal."""


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key that the gateway made, in the form of a secret that never changes."""

    current: str
    version: int = 0


class Seals:
    """Follows a key that changes: what the one before has sealed is taken for as long as it lives.

    A key may be changed because somebody else has it, who can then seal tickets for anyone.
    """

    def __init__(
        self, key: OwnKey | BoundSecret, lifetime: float, now: Callable[[], float]
    ) -> None:
        """`lifetime` is that of a ticket, in seconds."""
        _check(key.current)
        self._key = key
        self._lifetime = lifetime
        self._now = now
        self._until = 0.0
        self._version = key.version
        self._made: tuple[Seal, ...] = ()

    @classmethod
    async def of(
        cls,
        key: SecretRef | None,
        context: PluginContext,
        lifetime: float,
        now: Callable[[], float],
    ) -> Seals:
        """Return those of a secret, else of the gateway's own key. Raises ConfigError, Unavailable."""
        if key is None:
            return cls(OwnKey((await context.key("seal")).hex()), lifetime, now)
        return cls(await context.secrets.bind(key), lifetime, now)

    async def seal(self, content: Content) -> str:
        """Return the ticket. Raises ValueError where the caller's claims make it too long."""
        return (await self._seals())[0].seal(content)

    async def open(self, ticket: str) -> Content | None:
        """Return what a ticket says, None for what no key here has sealed."""
        opened = (seal.open(ticket) for seal in await self._seals())
        return next((content for content in opened if content is not None), None)

    async def _seals(self) -> tuple[Seal, ...]:
        """Return the seals, made when the first ticket comes or the key changes."""
        if not self._made:
            await asyncio.to_thread(load)
        version = self._key.version
        if not self._made or version != self._version:
            key = self._key.current  # raises for as long as the store has taken it back
            _check(key)
            self._version, self._made = version, (Seal(key.encode()), *self._made[:1])
            self._until = self._now() + self._lifetime
        if len(self._made) > 1 and self._now() >= self._until:
            self._made = self._made[:1]
        return self._made


def _check(key: str) -> None:
    if len(key) < SHORTEST:
        raise ConfigError(
            f"the key of tickets has {len(key)} characters, and needs {SHORTEST}",
            hint="openssl rand -hex 32 makes one",
        )
