"""A store behind its cache: asked once at a time for each path, believed for a bounded time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from time import monotonic

from proxy.ports.secrets import (
    Lease,
    Secret,
    SecretAway,
    SecretConflict,
    SecretError,
    SecretMissing,
    SecretRef,
    SecretStore,
)
from proxy.secrets.bound import Bound
from proxy.secrets.counting import StoreCounts
from proxy.secrets.entry import Entry
from proxy.tasks import Tasks

log = logging.getLogger("brain.secrets")

WAIT = 0.8
"""Seconds that a request waits for a store: its answer must not take longer than a second."""

WAIT_AT_LOAD = 2.0
"""The same before a configuration serves."""

HANGS, BRIEFLY = 2.0, 0.05
"""Seconds for which a store that has kept somebody waiting in vain is waited for briefly, or until it
answers; and for how long then: one that hangs is not waited for by each path anew."""

AGAIN_PERIOD, AGAIN_BURST = 2.0, 4
"""Callers can provoke refusals of a credential, and with each a question: so many at once, and one
more after so many seconds."""

PROLONGED = 1.1
"""How much longer than before a lease must live for another not to be asked for: stores round."""

REVOKE_WITHIN = 1.5
"""Seconds for giving leases back when nobody uses the store any more; with the store's own end, 2."""


class SecretCache:
    """A `KeptStore`. It outlives a reload that leaves the store's settings as they are.

    Of more than `keeping.most` paths the one that was asked for least recently is forgotten; those
    that something is bound to stay.
    """

    def __init__(
        self, name: str, store: SecretStore, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self.name = name
        self.store = store
        self.counts = StoreCounts()
        self._keeping = store.keeping
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._tasks = Tasks()
        self._following: asyncio.Task[None] | None = None
        self._hangs_until = -math.inf
        store.on_leases_end = self._leases_end

    def __repr__(self) -> str:
        return f"<SecretCache {self.name} paths={len(self._entries)}>"

    @property
    def entries(self) -> Iterator[Entry]:
        """What is kept, the one that was asked for least recently first."""
        return iter(list(self._entries.values()))

    @property
    def now(self) -> float:
        """The moment that the times of entries are compared with."""
        return self._clock()

    def kept(self, path: str) -> Entry | None:
        """Return what is kept of a path, without asking for it."""
        return self._entries.get(path)

    # -- asking

    def open(self) -> asyncio.Task[None]:
        """Let the store get ready behind: what goes wrong with it is told to those who ask."""
        return self._tasks.spawn(self._open(), name=f"secrets: {self.name}: open")

    async def _open(self) -> None:
        try:
            await self.store.open()
        except SecretError as error:
            log.warning("the store '%s' is not ready: %s", self.name, error)

    async def get(self, path: str) -> Entry:
        """Return what is kept of `path`, fetched where that is not fresh. Raises SecretError."""
        entry = self._entry(path)
        now = self._clock()
        if now >= entry.until:
            asking = self._ask(entry)
            if not entry.usable(now):
                await self._wait(entry, asking, WAIT)
        return self._given(entry)

    async def again(self, path: str, used: Secret) -> Entry:
        """Return what is kept of `path`, fetched anew where that is still `used`."""
        entry = self._entry(path)
        if entry.secret is used and entry.asking is not None:
            await self._wait(entry, entry.asking, WAIT)
        # What was under way may have been read before the store had the new value.
        if entry.secret is used and (entry.asking is not None or self._may_ask_again(entry)):
            await self._wait(entry, self._ask(entry, anew=True), WAIT)
        return self._given(entry)

    def _may_ask_again(self, entry: Entry) -> bool:
        now = self._clock()
        if entry.again_at > now + (AGAIN_BURST - 1) * AGAIN_PERIOD:
            return False
        entry.again_at = max(entry.again_at, now) + AGAIN_PERIOD
        return True

    async def refresh(self, path: str) -> Entry:
        """Ask the store now, whatever is kept. Raises SecretError."""
        entry = self._entry(path)
        await self._wait(entry, self._ask(entry, anew=True), WAIT_AT_LOAD)
        return self._given(entry)

    def _entry(self, path: str) -> Entry:
        entry = self._entries.get(path)
        if entry is None:
            entry = self._entries[path] = Entry(path)
        return entry

    def _ask(self, entry: Entry, *, anew: bool = False) -> asyncio.Task[None]:
        """Begin to ask for a path, or join who does: whoever stops waiting stops nobody else.

        `anew` asks for the secret where a lease could have been renewed.
        """
        if entry.asking is None:
            asking = self._fetch(entry, anew=anew)
            name = f"secrets: {self.name}"
            entry.asking = self._tasks.spawn(asking, name=name)
        return entry.asking

    async def _wait(self, entry: Entry, asking: asyncio.Task[None], seconds: float) -> None:
        if self._clock() < self._hangs_until:
            seconds = BRIEFLY
        done, _ = await asyncio.wait((asking,), timeout=seconds)
        if not done:
            self.hangs()
            why = f"the store '{self.name}' does not answer"
            entry.trouble(why, self._keeping, self._clock())

    def hangs(self) -> None:
        """Note that somebody has waited for the store in vain."""
        self._hangs_until = self._clock() + HANGS

    def _given(self, entry: Entry) -> Entry:
        if entry.usable(self._clock()) or entry.just_given:
            return entry
        error = entry.error or SecretAway(f"the store '{self.name}' gave nothing")
        # A new one: what was raised before holds the frames of its traceback.
        fresh = type(error)(str(error), hint=error.hint)
        if isinstance(fresh, SecretAway) and isinstance(error, SecretAway):
            fresh.retry_after = error.retry_after
        raise fresh

    # -- fetching

    async def _fetch(self, entry: Entry, *, anew: bool) -> None:
        try:
            with self.counts.timed() as outcome:
                await self._renewed_or_read(entry, anew=anew, outcome=outcome)
        except SecretError as error:
            entry.refuse(error, self._keeping, self._clock())
        except Exception as error:  # a store may fail in any way, and its words may hold anything
            log.error("the store '%s' failed: %s", self.name, type(error).__name__)  # noqa: TRY400
            failed = SecretAway(f"the store failed: {type(error).__name__}")
            entry.refuse(failed, self._keeping, self._clock())
        finally:
            if not isinstance(entry.error, SecretAway):
                self._hangs_until = -math.inf
            entry.asking = None
            self._touch(entry)

    async def _renewed_or_read(self, entry: Entry, *, anew: bool, outcome: list[str]) -> None:
        lease, begun = entry.lease, self._clock()
        if lease is not None and lease.renewable and not anew and begun < entry.fresh:
            outcome[0] = "renewed"
            try:
                renewed = await self.store.renew(lease)
            except SecretMissing:
                log.warning("secret %s: its lease has ended before its time", entry.path)
            else:
                if renewed.seconds > PROLONGED * (entry.ends - begun):
                    entry.hold(renewed, self._keeping, begun)
                    return
        outcome[0] = "read"
        found = await self.store.get(entry.path)
        if begun > entry.written:  # else it may be what was there before
            entry.take(found, self._keeping, begun)

    def _touch(self, entry: Entry) -> None:
        """Make an entry the last to be forgotten, and forget the first where there are too many."""
        if self._entries.get(entry.path) is entry:
            del self._entries[entry.path]
            self._entries[entry.path] = entry
        while len(self._entries) > self._keeping.most:
            first = next((one for one in self._entries.values() if _idle(one)), None)
            if first is None:
                return
            self._forget(first)

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.path]
        if entry.lease is not None:
            revoking = self._revoke(entry.path, entry.lease)
            self._tasks.spawn(revoking, name=f"secrets: {self.name}: revoke")
        entry.drop()

    # -- writing

    def writes(self, path: str) -> str | None:
        """Return why `put` can't be used for `path`, None where it can."""
        return self.store.writes(path)

    async def put(self, path: str, fields: Mapping[str, str], used: Secret) -> Entry:
        """Write fields in place of `used`, if the store still has that, and keep them."""
        entry = self._entry(path)
        begun = self._clock()
        try:
            written = await self.store.put(path, fields, used.version or 0)
        except SecretConflict:
            entry.until = entry.fresh = begun
            raise
        entry.written = self._clock()
        entry.take(written, self._keeping, begun)
        self._touch(entry)
        return entry

    # -- leases

    def _leases_end(self, within: float) -> None:
        """Note that what was leased so far ends in so many seconds, with the token of that time."""
        at = self._clock() + within
        for entry in self._entries.values():
            if entry.lease is not None:
                entry.end_lease(at)
        self._follow()

    async def _revoke(self, path: str, lease: Lease) -> None:
        try:
            await self.store.revoke(lease)
        except SecretError as error:
            log.warning("secret %s: its lease could not be given back: %s", path, error)

    # -- what is bound

    async def bind(
        self, reference: SecretRef, known: Bound | None = None, *, since: float = math.inf
    ) -> Bound | None:
        """Return the value that `reference` names, asked for now. None where there is no such field.

        `known` is what was bound to it before; what the store has confirmed `since`, for another
        field of the path, is not asked for again. Raises SecretError.
        """
        entry = self._entry(reference.path)
        at = min(since, self._clock())
        changes = math.isfinite(self._keeping.fresh) and entry.confirmed < at
        if changes or not entry.usable(self._clock()):
            await self._wait(entry, self._ask(entry), WAIT_AT_LOAD)
        if changes and entry.confirmed < at and entry.error is None:
            # That had been under way already: it may have been read before somebody wrote.
            await self._wait(entry, self._ask(entry), WAIT_AT_LOAD)
        fields = self._held(self._given(entry)).fields
        if reference.field not in fields:
            return None
        if known is None:
            known = Bound(reference, fields[reference.field])
            entry.bound.append(known)
            self._follow()
        return known

    @staticmethod
    def _held(entry: Entry) -> Secret:
        assert entry.secret is not None, "it was said to be usable"
        return entry.secret

    def unbind(self, bound: Bound) -> None:
        """Let go of a value that nobody uses any more."""
        entry = self._entries.get(bound.reference.path)
        if entry is not None and bound in entry.bound:
            entry.bound.remove(bound)

    def _follow(self) -> None:
        """Ask again in time for what is bound: nobody asks when it is used."""
        if self._following is not None:
            self._following.cancel()
        self._following = self._tasks.spawn(self._keep_asking(), name=f"secrets: {self.name}")

    async def _keep_asking(self) -> None:
        while True:
            followed = [entry for entry in self._entries.values() if entry.bound]
            due = min((entry.until for entry in followed), default=math.inf)
            if due == math.inf:
                return
            await asyncio.sleep(max(due - self._clock(), 0.0))
            now = self._clock()
            asked = [self._ask(entry) for entry in followed if now >= entry.until]
            if asked:
                await asyncio.wait(asked)

    # -- end

    async def close(self) -> None:
        """Give leases back, in a bounded time, and let go of the store."""
        await self._tasks.cancel()
        leased = [
            self._revoke(entry.path, entry.lease)
            for entry in self._entries.values()
            if entry.lease is not None
        ]
        try:
            async with asyncio.timeout(REVOKE_WITHIN):
                await asyncio.gather(*leased)
        except TimeoutError:
            log.warning("leases of the store '%s' could not be given back in time", self.name)
        for entry in self._entries.values():
            entry.drop()
        self._entries.clear()
        await self.store.close()


def _idle(entry: Entry) -> bool:
    return not entry.bound and entry.asking is None
