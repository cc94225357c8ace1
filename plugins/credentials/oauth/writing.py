"""What was obtained on its way into the store: tried until it is there, and never over another's."""

from __future__ import annotations

import asyncio
import logging

from plugins.credentials.oauth.claims import read_now
from plugins.credentials.oauth.counts import Counts
from plugins.credentials.oauth.held import Held
from plugins.credentials.oauth.obtained import REFRESH, TOKEN, Obtained
from proxy import KeptStore, SecretConflict, SecretError, SecretForbidden, SecretMissing

_PAUSES = (0.1, 1.0)


class Writer:
    """Writes tokens back. The value stays in memory, and in use, until the store has it."""

    def __init__(self, store: KeptStore, counts: Counts, log: logging.Logger) -> None:
        self._store = store
        self._counts = counts
        self._log = log

    async def write(self, held: Held) -> None:
        """Write what was obtained until it is there, or belongs to nobody any more."""
        pause = _PAUSES[0]
        while (obtained := held.obtained) is not None:
            try:
                await self._try(held, obtained)
            except SecretConflict:
                await asyncio.sleep(_PAUSES[0])
            except SecretMissing:
                held.obtained = held.unwritten = None
                self._log.warning("secret %s is gone: its new token is forgotten", held.path)
            except Exception as error:  # whatever it is: what was obtained must not be lost
                self._failed(held, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])
            else:
                self._done(held, obtained)

    async def _try(self, held: Held, obtained: Obtained) -> None:
        """Write it once. What is read before tells who has connected anew, or is gone."""
        secret = await read_now(self._store, held.path)
        if not obtained.fits(secret.fields):
            self._log.info("secret %s was connected anew: that is used", held.path)
        elif secret.fields.get(TOKEN) != obtained.token:
            await self._store.put(held.path, obtained.put_in(secret.fields), secret)

    def _done(self, held: Held, obtained: Obtained) -> None:
        if held.unwritten is not None:
            self._log.warning("secret %s: its new token is written", held.path)
        held.unwritten = None
        if held.obtained is obtained:
            held.obtained = None

    def _failed(self, held: Held, error: Exception) -> None:
        self._counts.unwritten += 1
        why = str(error) if isinstance(error, SecretError) else type(error).__name__
        if held.unwritten != why:
            hint = " (let the gateway write it)" if isinstance(error, SecretForbidden) else ""
            used_up = "; the refresh token there is used up" if self._rotated(held) else ""
            self._log.error(
                "secret %s: its new token can't be written: %s%s. It stays in memory, and is tried "
                "again%s",
                held.path,
                why,
                hint,
                used_up,
            )
        held.unwritten = why

    @staticmethod
    def _rotated(held: Held) -> bool:
        obtained = held.obtained
        return obtained is not None and obtained.refresh_token not in (
            None,
            held.fields.get(REFRESH),
        )
