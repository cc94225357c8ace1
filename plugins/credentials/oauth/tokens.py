"""Tokens by path: a store whose secrets have an access token that is good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from time import monotonic, time
from typing import Any

from plugins.credentials.oauth.answer import Mistaken, Rejected
from plugins.credentials.oauth.client import Credentials
from plugins.credentials.oauth.counts import Counts
from plugins.credentials.oauth.held import Held
from plugins.credentials.oauth.issuer import Issuer
from plugins.credentials.oauth.obtained import EXPIRES, TOKEN, seconds_of
from plugins.credentials.oauth.options import Settings
from plugins.credentials.oauth.renewing import Changed, Renewer
from plugins.credentials.oauth.trouble import Trouble
from plugins.credentials.oauth.writing import Writer
from proxy import (
    GatewayError,
    KeptSecret,
    KeptStore,
    PluginContext,
    Secret,
    SecretAway,
    SecretError,
    SecretMissing,
)

MOST = 50_000
"""Paths that are held; of more the one that was renewed least recently is forgotten."""

FINISH = 3.0
"""Seconds at the end for exchanges that are under way, and for what is not written."""

RETRY_AFTER = 2.0


class Tokens:
    """A `KeptStore` above another. It outlives a reload that leaves its entry's options as they are.

    One renewal at a time for each path, which goes on when those who wait for it have left.
    """

    def __init__(
        self, context: PluginContext, store: KeptStore, settings: Settings, counts: Counts
    ) -> None:
        log = logging.getLogger(context.logger.name)
        self._store = store
        self._settings = settings
        self._counts = counts
        self._log = log
        self._renewer = Renewer(store, Issuer(context, settings), settings, log)
        self._writer = Writer(store, counts, log)
        self._held: dict[str, Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.users = 0

    def __repr__(self) -> str:
        return f"<Tokens of {self._settings.shown} paths={len(self._held)}>"

    # -- asking

    async def get(self, path: str) -> Held:
        """Return the secret with a token that is good, got where there is none.

        Raises SecretError as the store does; Rejected, Mistaken, SecretAway for the server; and
        GatewayError, `credential_missing`, for a secret without what a token is asked for with.
        """
        held = await self._looked_at(path)
        if monotonic() < held.soon:
            return held
        if held.good(monotonic()):
            await self._renew_behind(held)
            return held
        await self._wait(held, None)
        if not held.good(monotonic()):
            raise self._why(held)
        return held

    async def again(self, path: str, used: Secret) -> Held:
        """Return the secret with another token than was used: an upstream has refused that.

        How often one is asked for is bounded. Where the server refuses too, it counts as ended.
        """
        held = await self._looked_at(path)
        refused = used.fields.get(TOKEN, "")
        if not self._is_token(held, refused):
            return held  # another request has seen to it
        if held.flight is None and not held.may_ask_again():
            return held
        try:
            await self._wait(held, refused)
        except SecretAway:
            return held
        if self._is_token(held, refused) and isinstance(_error(held), Rejected | Mistaken):
            held.end()
        return held

    async def refresh(self, path: str) -> KeptSecret:
        """Return what the store has now, without a token."""
        return await self._store.refresh(path)

    def writes(self, path: str) -> str | None:
        """Return why the store below can't be written."""
        return self._store.writes(path)

    async def put(self, path: str, fields: Mapping[str, str], used: Secret) -> KeptSecret:
        """Write to the store below."""
        return await self._store.put(path, fields, used)

    def trouble(self) -> str | None:
        """Return what is not written, for /ready."""
        reasons = [held.unwritten for held in self._held.values() if held.unwritten]
        if not reasons:
            return None
        return f"{len(reasons)} new tokens can't be written: {reasons[0]}"

    # -- what is held

    async def _looked_at(self, path: str) -> Held:
        kept = await self._store.get(path)
        held = self._held.get(path)
        if held is None:
            held = self._held[path] = Held(path, kept)
            self._make_room()
        held.look(kept, self._settings.early)
        return held

    def _make_room(self) -> None:
        if len(self._held) > MOST:
            first = next((path for path, held in self._held.items() if held.idle), None)
            if first is not None:
                del self._held[first]

    @staticmethod
    def _is_token(held: Held, text: str) -> bool:
        return held.token is not None and held.token[0] == text

    # -- renewing

    async def _renew_behind(self, held: Held) -> None:
        """Begin to renew a token that is still good: why that can't be is no matter yet."""
        try:
            await self._renewal(held)
        except (SecretError, GatewayError) as error:
            self._log.debug("secret %s can't be renewed: %s", held.path, type(error).__name__)

    async def _wait(self, held: Held, refused: str | None) -> None:
        """Wait for a renewal, within `timeout`. Raises SecretError, GatewayError."""
        ends = monotonic() + self._settings.timeout
        for _ in range(2):  # once more where somebody has connected anew meanwhile
            flight = await self._renewal(held)
            if flight is None:
                return
            done, _ = await asyncio.wait((flight,), timeout=max(0.0, ends - monotonic()))
            if not done:
                message = f"a token takes longer than {self._settings.timeout:.3g} s"
                raise SecretAway(message, retry_after=RETRY_AFTER)
            await self._looked_at(held.path)
            if held.good(monotonic()) and not (refused and self._is_token(held, refused)):
                return

    async def _renewal(self, held: Held) -> asyncio.Task[None] | None:
        """Return the renewal that is under way, or a new one; None where it has just failed."""
        if held.flight is None:
            credentials = await self._renewer.credentials(held.latest)
            trouble = held.trouble
            if held.flight is None and not (trouble and trouble.holds_back(credentials)):
                held.flight = self._spawn(self._fly(held, credentials), "renew")
        return held.flight

    async def _fly(self, held: Held, credentials: Credentials) -> None:
        held.tried = None
        try:
            await self._renewed(held)
        except Changed:
            self._log.info("secret %s was connected anew", held.path)
        except SecretMissing:
            self._log.info("secret %s is gone", held.path)
        except GatewayError as error:  # a field is gone: who asks next gets to know
            self._log.warning("secret %s: %s", held.path, error.log)
        except SecretError as error:
            self._failed(held, error, credentials)
        except Exception as error:
            self._log.error("a renewal failed: %s", type(error).__name__)
            failed = SecretAway(f"the renewal failed: {type(error).__name__}")
            self._failed(held, failed, credentials)
        finally:
            held.flight = None

    async def _renewed(self, held: Held) -> None:
        replaced = held.token[0] if held.token else ""

        def good(fields: Mapping[str, str]) -> bool:
            return fields.get(TOKEN) != replaced and seconds_of(fields, EXPIRES) > time() + 1

        obtained = await self._renewer.renew(held, good)
        held.trouble = None
        if obtained is None:
            self._counts.shared += 1
            return
        self._counts.renewed += 1
        held.obtained = obtained
        if self._renewer.shares(held.path) and held.writing is None:
            held.writing = self._spawn(self._write(held), "write")

    async def _write(self, held: Held) -> None:
        try:
            await self._writer.write(held)
        finally:
            held.writing = None

    def _failed(self, held: Held, error: SecretError, credentials: Credentials) -> None:
        if isinstance(error, Rejected | Mistaken):
            self._counts.rejected += 1
        else:
            self._counts.failed += 1
        self._log.warning("secret %s: no new token: %s", held.path, error)
        tried, last = held.tried, held.trouble
        held.trouble = Trouble.after(error, tried or credentials, last, asked=tried is not None)

    def _why(self, held: Held) -> SecretError:
        if held.trouble is None:
            return SecretAway("no token was got that is good", retry_after=RETRY_AFTER)
        return held.trouble.anew()

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"oauth: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- end

    async def leave(self) -> None:
        """One user less. The last one waits, for a bounded time, until nothing would be lost."""
        self.users -= 1
        if self.users:
            return
        for held in self._held.values():
            if held.flight is not None and held.tried is None:
                held.flight.cancel()  # it only waits for its turn
        ends = monotonic() + FINISH
        while self._tasks and monotonic() < ends:
            await asyncio.wait(self._tasks, timeout=ends - monotonic())
        self.close()

    def close(self) -> None:
        """Give up what is under way, and say what is lost."""
        for held in self._held.values():
            if held.obtained is not None and held.writing is not None:
                self._log.error("secret %s: its new token is lost, it was never written", held.path)
        for task in self._tasks:
            task.cancel()
        self._held.clear()


def _error(held: Held) -> SecretError | None:
    return None if held.trouble is None else held.trouble.error
