"""One renewal: a claim, an exchange, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from plugins.credentials.oauth.answer import Mistaken, Rejected
from plugins.credentials.oauth.claims import Claims, Good
from plugins.credentials.oauth.client import Credentials, credentials_of
from plugins.credentials.oauth.held import Held
from plugins.credentials.oauth.issuer import Issuer
from plugins.credentials.oauth.obtained import Obtained
from plugins.credentials.oauth.options import Settings
from proxy import GatewayError, KeptStore, Secret, SecretForbidden, SecretMissing


class Changed(Exception):
    """What was refused is not what the store has by now."""


class Renewer:
    """Gets tokens from one server for the secrets of one store."""

    def __init__(
        self, store: KeptStore, issuer: Issuer, settings: Settings, log: logging.Logger
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._settings = settings
        self._log = log
        self._claims = Claims(store)
        self._forbidden = False

    async def credentials(self, fields: Mapping[str, str]) -> Credentials:
        """Return what a token is asked for with. Raises SecretError, GatewayError."""
        settings = self._settings
        if settings.client is None:
            return credentials_of(settings, fields, fields)
        try:
            client = (await self._store.get(settings.client)).secret
        except SecretMissing as error:
            raise Mistaken(f"the client {settings.client}: {error}", hint=error.hint) from None
        assert client is not None, "a store that has none raises"
        return credentials_of(settings, fields, client.fields)

    def shares(self, path: str) -> bool:
        """Say whether tokens are written, for other gateways to use."""
        return not self._forbidden and self._store.writes(path) is None

    async def renew(self, held: Held, good: Good) -> Obtained | None:
        """Return what the server gave, None where another gateway has renewed it meanwhile.

        Raises SecretError, GatewayError, Changed.
        """
        before = held.unfinished
        if before is not None or not self.shares(held.path):
            # Nobody else has this refresh token: nothing has to be claimed, and no store be asked.
            return await self._exchanged(held, held.latest, before)
        claimed = await self._claimed(held.path, good)
        if claimed is None:
            return None
        if claimed is _NOT_SHARED:
            return await self._exchanged(held, held.fields, None)
        return await self._of_claim(held, claimed)

    async def _claimed(self, path: str, good: Good) -> Secret | None:
        try:
            return await self._claims.win(path, good)
        except SecretForbidden as error:
            if self._settings.refreshes:
                raise
            self._forbidden = True
            self._log.warning("tokens are kept in memory alone: %s", error)
            return _NOT_SHARED

    async def _of_claim(self, held: Held, claimed: Secret) -> Obtained:
        try:
            return await self._exchanged(held, claimed.fields, None)
        except (Rejected, Mistaken, GatewayError):
            if not await self._claims.give_up(held.path, claimed):
                raise Changed from None
            raise

    async def _exchanged(
        self, held: Held, fields: Mapping[str, str], before: Obtained | None
    ) -> Obtained:
        held.tried = await self.credentials(fields)
        granted = await self._issuer.exchange(held.tried)
        return Obtained.of(granted, self._settings.lifetime, fields, before)


_NOT_SHARED = Secret({})
"""Stands for a secret that may be read and not be written."""
