"""A store behind its cache: asked once at a time for each path, believed for a bounded time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from time import monotonic

from proxy.ports.secrets import (
    Lease,
    Secret,
    SecretConflict,
    SecretError,
    SecretRef,
    SecretStore,
    StoreState,
)
from proxy.secrets.asking import Asker
from proxy.secrets.bound import Bound
from proxy.secrets.counting import StoreCounts
from proxy.secrets.entries import Entries
from proxy.secrets.entry import Entry
from proxy.secrets.following import WAIT_AT_LOAD, Follower
from proxy.tasks import Tasks

log = logging.getLogger("brain.secrets")

WAIT = 0.8
"""Seconds that a request waits for a store: its answer must not take longer than a second."""

AGAIN_PERIOD, AGAIN_BURST = 2.0, 4
"""Callers can provoke refusals of a credential, and with each a question: so many at once, and one
more after so many seconds."""

REVOKE_WITHIN = 1.5
"""Seconds for giving leases back when nobody uses the store any more; with the store's own end, 2."""


class SecretCache:
    """A `KeptStore`. It outlives a reload that leaves the store's settings as they are."""

    def __init__(
        self, name: str, store: SecretStore, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self.name = name
        self.store = store
        self._clock = clock
        self._tasks = Tasks()
        self._entries = Entries(store.keeping.most, self._forgotten)
        self._asker = Asker(name, store, self._tasks, clock, self._entries.touch)
        changes = math.isfinite(store.keeping.fresh)
        self._follower = Follower(self._entries, self._asker, self._tasks, clock, changes=changes)
        store.on_leases_end = self._leases_end

    def __repr__(self) -> str:
        return f"<SecretCache {self.name} paths={len(self._entries)}>"

    @property
    def entries(self) -> Iterator[Entry]:
        """What is kept, the one that is forgotten next first."""
        return iter(self._entries)

    @property
    def counts(self) -> StoreCounts:
        """Questions by what came of them, and how long they took."""
        return self._asker.counts

    @property
    def now(self) -> float:
        """The moment that the times of entries are compared with."""
        return self._clock()

    def kept(self, path: str) -> Entry | None:
        """Return what is kept of a path, without asking for it."""
        return self._entries.kept(path)

    def state(self) -> StoreState:
        """Return how the store fares, of which it may not know yet that it lets others wait."""
        state = self.store.state()
        if state.why is None and self._asker.silent:
            return replace(state, why=f"the store '{self.name}' does not answer")
        return state

    async def ready(self) -> str | None:
        """Return None, or why the store is not to be had now. It asks nobody."""
        return await self.store.ready() or self.state().why

    # -- asking

    def open(self) -> asyncio.Task[None]:
        """Let the store get ready behind: what goes wrong with it is told to those who ask."""
        return self._tasks.spawn(self._open(), name=f"secrets: {self.name}: open")

    async def _open(self) -> None:
        try:
            await self.store.open()
        except SecretError as error:
            log.warning("the store '%s' is not ready: %s", self.name, error)
        self._asker.speaks()

    def hangs(self) -> None:
        """Note that somebody has waited for the store in vain."""
        self._asker.hangs()

    async def get(self, path: str) -> Entry:
        """Return what is kept of `path`, fetched where that is not fresh. Raises SecretError."""
        entry = self._entries.of(path)
        now = self._clock()
        if now >= entry.until:
            asking = self._asker.ask(entry)
            if not entry.usable(now):
                await self._asker.wait(entry, asking, WAIT)
        return self._given(entry)

    async def again(self, path: str, used: Secret) -> Entry:
        """Return what is kept of `path`, fetched anew where that is still `used`."""
        entry = self._entries.of(path)
        if entry.secret is used and entry.asking is not None:
            await self._asker.wait(entry, entry.asking, WAIT)
        # What was under way may have been read before the store had the new value.
        if entry.secret is used and (entry.asking is not None or self._may_ask_again(entry)):
            await self._asker.wait(entry, self._asker.ask(entry, anew=True), WAIT)
        return self._given(entry)

    def _may_ask_again(self, entry: Entry) -> bool:
        now = self._clock()
        if entry.again_at > now + (AGAIN_BURST - 1) * AGAIN_PERIOD:
            return False
        entry.again_at = max(entry.again_at, now) + AGAIN_PERIOD
        return True

    async def refresh(self, path: str) -> Entry:
        """Ask the store now, whatever is kept. Raises SecretError."""
        entry = self._entries.of(path)
        await self._asker.wait(entry, self._asker.ask(entry, anew=True), WAIT_AT_LOAD)
        return self._given(entry)

    def _given(self, entry: Entry) -> Entry:
        self._asker.given(entry)
        return entry

    # -- writing

    def writes(self, path: str) -> str | None:
        """Return why `put` can't be used for `path`, None where it can."""
        return self.store.writes(path)

    async def put(self, path: str, fields: Mapping[str, str], used: Secret) -> Entry:
        """Write fields in place of `used`, if the store still has that, and keep them."""
        entry = self._entries.of(path)
        begun = self._clock()
        try:
            written = await self.store.put(path, fields, used.version or 0)
        except SecretConflict:
            entry.until = entry.fresh = begun
            raise
        entry.written = self._clock()
        entry.take(written, self.store.keeping, begun)
        self._entries.touch(entry)
        return entry

    # -- what is bound

    async def bind(
        self, reference: SecretRef, known: Bound | None = None, *, since: float = math.inf
    ) -> Bound | None:
        """Return the value that `reference` names, and follow it: see `Follower.bind`."""
        return await self._follower.bind(reference, known, since)

    def unbind(self, bound: Bound) -> None:
        """Let go of a value that nobody uses any more."""
        self._follower.unbind(bound)

    # -- leases

    def _leases_end(self, within: float) -> None:
        """Note that what was leased so far ends in so many seconds, with the token of that time."""
        at = self._clock() + within
        for entry in self._entries:
            if entry.lease is not None:
                entry.end_lease(at)
        self._follower.follow()

    def _forgotten(self, entry: Entry) -> None:
        if entry.lease is not None:
            revoking = self._revoke(entry.path, entry.lease)
            self._tasks.spawn(revoking, name=f"secrets: {self.name}: revoke")

    async def _revoke(self, path: str, lease: Lease) -> None:
        try:
            await self.store.revoke(lease)
        except SecretError as error:
            log.warning("secret %s: its lease could not be given back: %s", path, error)

    # -- end

    async def close(self) -> None:
        """Give leases back, in a bounded time, and let go of the store."""
        await self._tasks.cancel()
        leased = [
            self._revoke(entry.path, entry.lease)
            for entry in self._entries
            if entry.lease is not None
        ]
        try:
            async with asyncio.timeout(REVOKE_WITHIN):
                await asyncio.gather(*leased)
        except TimeoutError:
            log.warning("leases of the store '%s' could not be given back in time", self.name)
        self._entries.clear()
        await self.store.close()
