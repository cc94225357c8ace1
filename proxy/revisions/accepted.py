"""What a running gateway has accepted: each is kept, and any kept one can serve again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from proxy.config.models import Config
from proxy.config.texts import Kept
from proxy.errors import ConfigError
from proxy.revisions.entry import Revision, absolute
from proxy.revisions.listing import as_json
from proxy.revisions.start import Instead
from proxy.revisions.store import REMEDY, Listed, Store
from proxy.revisions.times import moment
from proxy.runtime.ledger import Ledger
from proxy.runtime.reload import Outcome, Reloader
from proxy.tasks import Tasks

log = logging.getLogger("brain.revisions")

ROLLBACK = "rollback"
START = "start"
_CAUSES = {"files changed": "watch"}

SAVE_WITHIN = 5.0
"""Seconds that a reload waits for the disk; a save that takes longer goes on behind it."""

_NO_STORE = ConfigError(
    "this gateway keeps no revisions",
    hint="set gateway.state_dir or BRAIN_STATE_DIR, and restart it",
)


class Revisions:
    """Keeps what a gateway accepts, below its `state_dir` if it has one.

    It takes `reloader.accepted`. `serving` returns what serves; `instead` is what the start took for
    files that were refused.
    """

    def __init__(
        self,
        ledger: Ledger,
        serving: Callable[[], Config],
        reloader: Reloader,
        state_dir: str | None,
        instead: Instead | None = None,
    ) -> None:
        self._ledger = ledger
        self._serving = serving
        self._reloader = reloader
        self._store = None if state_dir is None else Store(state_dir)
        self._instead = instead
        self._pinned: Kept | None = None
        self._saving = asyncio.Lock()
        self._tasks = Tasks()
        reloader.accepted = self._accepted

    async def open(self) -> None:
        """Make the folder. Raises ConfigError when it can't be written to."""
        if self._store is not None:
            await asyncio.to_thread(self._store.open)

    async def begin(self) -> None:
        """Keep what a good start serves; tell of what serves instead of bad files."""
        instead = self._instead
        if instead is None:
            await self._warn_of_rollback()
            await self._keep(START)
            return
        self._ledger.apart = f"serving {instead.name}"
        self._ledger.count_reload(instead.refusal)
        self._reloader.tried = instead.files

    async def close(self) -> None:
        """Wait a moment for what is being written."""
        await self._tasks.join(SAVE_WITHIN)
        await self._tasks.cancel()

    async def _warn_of_rollback(self) -> None:
        """A start takes the files, whatever served before: nobody shall learn that from traffic."""
        before = await asyncio.to_thread(self._last)
        serves = self._serving().revision
        if before is not None and before.cause == ROLLBACK and before.revision != serves:
            log.warning(
                "it had been rolled back to revision %s; after this start the files serve again: "
                "revision %s. To go back: brain rollback %s",
                before.short,
                serves[:12],
                before.short,
            )

    def _last(self) -> Revision | None:
        try:
            known = () if self._store is None else self._store.newest_of(self._reloader.files)
            return next(iter(known), None)
        except OSError:
            return None  # the save that follows tells

    # -- what was accepted

    async def _accepted(self, cause: str, kept: Kept | None, swapped: bool) -> None:
        self._pinned = kept
        self._instead = self._ledger.apart = None
        if kept is None:
            self._ledger.checks.pop("revision", None)
        else:
            text = f"revision {kept.revision[:12]} of {moment(kept.accepted)}"
            self._ledger.checks["revision"] = f"serving {text} by rollback, not the files"
        if swapped:
            # Built anew for a renewed certificate, it is still what somebody went back to.
            await self._keep(_CAUSES.get(cause, cause) if kept is None else ROLLBACK)

    async def _keep(self, cause: str) -> None:
        if self._store is None:
            return
        saving = self._tasks.spawn(self._save(self._store, cause), name="revisions: save")
        await asyncio.wait({saving}, timeout=SAVE_WITHIN)

    async def _save(self, store: Store, cause: str) -> None:
        config = self._serving()
        short, services = config.revision[:12], len(config.services)
        async with self._saving:
            try:
                await asyncio.to_thread(
                    store.save, config.revision, config.texts, cause=cause, services=services
                )
            except OSError as error:
                why = f"revision {short} can't be kept: {error.strerror}"
                self._ledger.checks["state_dir"] = why
                log.error("%s", why, extra={"hint": f"{REMEDY}; 'brain reload' tries again"})  # noqa: TRY400  no bug
            else:
                self._ledger.checks.pop("state_dir", None)

    async def changed(self, cause: str, differing: Iterable[str]) -> Outcome:
        """Reload since files have changed.

        What was rolled back stays when only certificates or drop-ins that it uses have: it is built
        with them anew.
        """
        kept = self._pinned
        if kept is not None and set(differing) <= self._besides():
            return await self._reloader.reload(cause, if_changed=True, kept=kept)
        return await self._reloader.reload(cause, if_changed=True)

    def _besides(self) -> set[str]:
        """Return the files that what runs uses and that are none of the language."""
        config = self._serving()
        return {*config.watched} - {each.name for each in config.texts} - {*self._reloader.files}

    # -- what is asked for

    async def listing(self) -> dict[str, Any]:
        """Return what is kept, and which of it serves. Raises ConfigError."""
        store = self._needed()
        try:
            found, told = await asyncio.to_thread(self._listed, store)
        except OSError as error:
            raise ConfigError(f"{store.state_dir} can't be read: {error.strerror}") from None
        for name, why in found.damaged.items():
            log.warning("revision file %s is skipped: %s", name, why)
        return {**told, "serves": self.serves}

    def _listed(self, store: Store) -> tuple[Listed, dict[str, Any]]:
        """Return what is kept, and the same to be told: with names that mean the same anywhere."""
        found, here = store.list(whole=True), str(Path.cwd())
        (state_dir,) = absolute((store.state_dir,), here)
        given = absolute(self._reloader.files, here)
        return found, {**as_json(state_dir, found), "given": given}

    @property
    def serves(self) -> str:
        """The hash of the kept revision that runs."""
        if self._instead is not None:
            return self._instead.kept.revision
        return self._serving().revision

    async def roll_back(self, prefix: str) -> tuple[Revision, Outcome]:
        """Serve the kept revision whose hash begins with `prefix`; nothing to do where the files say it.

        Returns which that is, and how it ended. Raises ConfigError where none can be read.
        """
        store = self._needed()
        try:
            found = await asyncio.to_thread(store.find, prefix)
            kept = await asyncio.to_thread(store.read, found)
        except OSError as error:
            raise ConfigError(f"{store.state_dir} can't be read: {error.strerror}") from None
        if found.revision == self.serves and self._pinned is None and self._instead is None:
            return found, Outcome(None)
        return found, await self._reloader.reload(ROLLBACK, kept=kept)

    def _needed(self) -> Store:
        if self._store is None:
            raise _NO_STORE
        return self._store
