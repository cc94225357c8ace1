"""The secret that an issuer signs with: of a store, which may be away, and may take it back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy import ConfigError, SecretRef, Unavailable

if TYPE_CHECKING:
    from joserfc.jwk import OctKey

    from proxy import BoundSecret, PluginContext

SHORTEST_SECRET = 32
"""Bytes (RFC 7518, 3.2): a key as long as what HS256 makes."""

AGAIN = 1.5
"""Seconds between two questions to a store that is away: it sees to it itself that a server in trouble
is asked seldom."""


class Shared:
    """A secret that an issuer and the gateway both know (a `Source`).

    A store that is away keeps only this issuer's callers waiting. A secret that the store takes back,
    or replaces by one that could be guessed, verifies nothing more, and what it has verified is
    forgotten.
    """

    def __init__(self, reference: SecretRef, context: PluginContext) -> None:
        self._reference = reference
        self._secrets = context.secrets
        self._bound: BoundSecret | None = None
        self._made: tuple[int, OctKey] | None = None
        self._reason = f"secret {reference} was not asked for yet"

    async def bind(self) -> bool:
        """Get the secret, and say whether it was to be had. Raises ConfigError where it is none."""
        try:
            bound = await self._secrets.bind(self._reference)
            # The first one imports what makes it.
            self._made = await asyncio.to_thread(_made_of, bound)
        except Unavailable as away:
            self._reason = str(away)
            return False
        self._bound = bound
        return True

    async def bind_later(self) -> None:
        """Try on until the secret is to be had."""
        while self._bound is None:
            await asyncio.sleep(AGAIN)
            try:
                await self.bind()
            except ConfigError as error:
                self._reason = str(error)

    @property
    def version(self) -> int:
        """The secret's own: it grows too when the store takes the secret back."""
        return 0 if self._bound is None else self._bound.version

    def find(self, kid: str | None, algorithm: str) -> OctKey | None:
        """Return the secret as a key, whatever a token calls it. Raises Unavailable."""
        return self._key() if algorithm == "HS256" else None

    async def learn(self) -> bool:
        """A store tells by itself what is new."""
        return False

    def trouble(self) -> str | None:
        """Return why there is no secret, None where there is one."""
        try:
            self._key()
        except Unavailable as away:
            return str(away)
        return None

    def _key(self) -> OctKey:
        bound = self._bound
        if bound is None:
            raise Unavailable(self._reason)
        if self._made is None or self._made[0] != bound.version:
            try:
                self._made = _made_of(bound)
            except ConfigError as error:
                raise Unavailable(str(error)) from None
        return self._made[1]


def _made_of(bound: BoundSecret) -> tuple[int, OctKey]:
    """Return the key that a secret is, and its version. Raises ConfigError, Unavailable."""
    from joserfc import jws as jws
    from joserfc.jwk import OctKey

    version, secret = bound.version, bound.current
    if len(secret.encode()) < SHORTEST_SECRET:
        raise ConfigError(
            f"the secret of an issuer has under {SHORTEST_SECRET} bytes: tokens could be guessed",
            hint="openssl rand -hex 32 makes one",
        )
    return version, OctKey.import_key(secret)
