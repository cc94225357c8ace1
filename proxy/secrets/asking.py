"""Asking a store: one question at a time for each path, and nobody waits for long."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from proxy.ports.secrets import Secret, SecretAway, SecretError, SecretMissing, SecretStore
from proxy.secrets.counting import StoreCounts
from proxy.secrets.entry import Entry
from proxy.tasks import Tasks

log = logging.getLogger("brain.secrets")

HANGS, BRIEFLY = 2.0, 0.05
"""Seconds for which a store that has kept somebody waiting in vain is waited for briefly, or until it
answers; and for how long then: one that hangs is not waited for by each path anew."""

MOST, MOST_OF_HANGING = 2048, 64
"""Questions that may be under way, and how many to a store that hangs: what is asked beyond has no
answer, so that many new callers don't pile up before a store that can't follow."""

PROLONGED = 1.1
"""How much longer than before a lease must live for another not to be asked for: stores round."""


class Asker:
    """Asks for entries and tells them what came of it. `asked` is called with each that was."""

    def __init__(
        self,
        name: str,
        store: SecretStore,
        tasks: Tasks,
        clock: Callable[[], float],
        asked: Callable[[Entry], None],
    ) -> None:
        self.counts = StoreCounts()
        self._name = name
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._asked = asked
        self._hangs_until = -math.inf
        self.silent = False
        """Whether somebody has waited in vain, and nothing has been answered since."""
        self._under_way = 0

    def ask(self, entry: Entry, *, anew: bool = False) -> asyncio.Task[None] | None:
        """Begin to ask for a path, or join who does: whoever stops waiting stops nobody else.

        `anew` asks for the secret where a lease could have been renewed. None where too many
        questions are under way; then the entry gets to know.
        """
        if entry.asking is None:
            if self._under_way >= (MOST_OF_HANGING if self._hanging else MOST):
                why = f"the store '{self._name}' is asked for too much at once"
                entry.trouble(why, self._store.keeping, self._clock())
                self._asked(entry)
                return None
            self._under_way += 1
            asking = self._fetch(entry, anew=anew)
            entry.asking = self._tasks.spawn(asking, name=f"secrets: {self._name}")
            entry.asking.add_done_callback(self._ended)
        return entry.asking

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._under_way -= 1

    @property
    def _hanging(self) -> bool:
        return self._clock() < self._hangs_until

    async def wait(self, entry: Entry, asking: asyncio.Task[None] | None, seconds: float) -> None:
        """Wait for an answer; where none comes, the entry gets to know."""
        if asking is None:
            return
        if self._hanging:
            seconds = BRIEFLY
        done, _ = await asyncio.wait((asking,), timeout=seconds)
        if not done:
            self.hangs()
            why = f"the store '{self._name}' does not answer"
            entry.trouble(why, self._store.keeping, self._clock())

    def hangs(self) -> None:
        """Note that somebody has waited for the store in vain."""
        self._hangs_until = self._clock() + HANGS
        self.silent = True

    def speaks(self) -> None:
        """Note that the store has said something, if only what ails it."""
        self.silent = False

    def given(self, entry: Entry) -> Secret:
        """Return what may be used of an entry. Raises SecretError."""
        if entry.secret is not None and (entry.usable(self._clock()) or entry.just_given):
            return entry.secret
        error = entry.error or SecretAway(f"the store '{self._name}' gave nothing")
        # A new one: what was raised before holds the frames of its traceback.
        fresh = type(error)(str(error), hint=error.hint)
        if isinstance(fresh, SecretAway) and isinstance(error, SecretAway):
            fresh.retry_after = error.retry_after
        raise fresh

    async def _fetch(self, entry: Entry, *, anew: bool) -> None:
        keeping = self._store.keeping
        try:
            with self.counts.timed() as outcome:
                await self._renewed_or_read(entry, anew=anew, outcome=outcome)
        except SecretError as error:
            entry.refuse(error, keeping, self._clock())
        except Exception as error:  # a store may fail in any way, and its words may hold anything
            log.error("the store '%s' failed: %s", self._name, type(error).__name__)  # noqa: TRY400
            failed = SecretAway(f"the store failed: {type(error).__name__}")
            entry.refuse(failed, keeping, self._clock())
        finally:
            self.speaks()
            if not isinstance(entry.error, SecretAway):
                self._hangs_until = -math.inf
            entry.asking = None
            self._asked(entry)

    async def _renewed_or_read(self, entry: Entry, *, anew: bool, outcome: list[str]) -> None:
        lease, begun, keeping = entry.lease, self._clock(), self._store.keeping
        if lease is not None and lease.renewable and not anew and begun < entry.fresh:
            outcome[0] = "renewed"
            try:
                renewed = await self._store.renew(lease)
            except SecretMissing:
                log.warning("secret %s: its lease has ended before its time", entry.path)
            else:
                if renewed.seconds > PROLONGED * (entry.ends - begun):
                    entry.hold(renewed, keeping, begun)
                    return
        outcome[0] = "read"
        found = await self._store.get(entry.path)
        if begun > entry.written:  # else it may be what was there before
            entry.take(found, keeping, begun)
