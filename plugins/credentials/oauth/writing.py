"""What was obtained on its way into the store: tried until it is there, and never over another's."""

from __future__ import annotations

import asyncio
import logging

from plugins.credentials.oauth.claims import read_now
from plugins.credentials.oauth.counts import Counts
from plugins.credentials.oauth.held import REFRESH, TOKEN, Held, Obtained
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
                continue
            except SecretMissing:
                held.obtained = None
                self._log.warning("secret %s is gone: its new token is forgotten", held.path)
            except SecretError as error:
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

    def _failed(self, held: Held, error: SecretError) -> None:
        self._counts.unwritten += 1
        if held.unwritten != str(error):
            lost = "; the refresh token of before may be used up" if self._rotated(held) else ""
            hint = " (let the gateway write it)" if isinstance(error, SecretForbidden) else ""
            self._log.error(
                "secret %s: its new token can't be written: %s%s. It stays in memory, and is tried "
                "again%s", held.path, error, hint, lost,
            )  # fmt: skip
        held.unwritten = str(error)

    @staticmethod
    def _rotated(held: Held) -> bool:
        return held.obtained is not None and held.obtained.refresh_token != held.fields.get(REFRESH)
