"""Values that something is bound to: nobody asks when they are used, so they are asked for in time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from proxy.ports.secrets import SecretRef
from proxy.secrets.asking import Asker
from proxy.secrets.bound import Bound
from proxy.secrets.entries import Entries
from proxy.tasks import Tasks

WAIT_AT_LOAD = 2.0
"""Seconds that a configuration waits for a store before it serves without."""


class Follower:
    """Binds to fields of entries, and asks for these again for as long as anybody is bound.

    `changes` says whether the store may have another value at all.
    """

    def __init__(
        self,
        entries: Entries,
        asker: Asker,
        tasks: Tasks,
        clock: Callable[[], float],
        *,
        changes: bool,
    ) -> None:
        self._entries = entries
        self._asker = asker
        self._tasks = tasks
        self._clock = clock
        self._changes = changes
        self._following: asyncio.Task[None] | None = None

    async def bind(self, reference: SecretRef, known: Bound | None, since: float) -> Bound | None:
        """Return the value that `reference` names, asked for now. None where there is no such field.

        `known` is what was bound to it before; what the store has confirmed `since`, for another
        field of the path, is not asked for again. Raises SecretError.
        """
        entry = self._entries.of(reference.path)
        at = min(since, self._clock())
        old = self._changes and entry.confirmed < at
        if old or not entry.usable(self._clock()):
            await self._asker.wait(entry, self._asker.ask(entry), WAIT_AT_LOAD)
        if old and entry.confirmed < at and entry.error is None:
            # That had been under way already: it may have been read before somebody wrote.
            await self._asker.wait(entry, self._asker.ask(entry), WAIT_AT_LOAD)
        fields = self._asker.given(entry).fields
        if reference.field not in fields:
            return None
        if known is None:
            known = Bound(reference, fields[reference.field])
            entry.bound.append(known)
            self.follow()
        return known

    def unbind(self, bound: Bound) -> None:
        """Let go of a value that nobody uses any more."""
        entry = self._entries.kept(bound.reference.path)
        if entry is not None and bound in entry.bound:
            entry.bound.remove(bound)

    def follow(self) -> None:
        """Look again when what is bound is due: that may be sooner than it was."""
        if self._following is not None:
            self._following.cancel()
        self._following = self._tasks.spawn(self._keep_asking(), name="secrets: follow")

    async def _keep_asking(self) -> None:
        while True:
            followed = [entry for entry in self._entries if entry.bound]
            due = min((entry.until for entry in followed), default=math.inf)
            if due == math.inf:
                return
            await asyncio.sleep(max(due - self._clock(), 0.0))
            now = self._clock()
            asked = [self._asker.ask(entry) for entry in followed if now >= entry.until]
            under_way = [each for each in asked if each is not None]
            if under_way:
                await asyncio.wait(under_way)
