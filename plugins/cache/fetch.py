"""One request that the store could not answer at once.

1. wait for whoever asks for the same     3. take the stored answer: it still holds, or beats an error
2. ask the upstream, on a condition       4. or the new one, and store it as it goes by
   where something is stored
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from plugins.cache import answers
from plugins.cache.asked import Asked
from plugins.cache.entry import Entry
from plugins.cache.fields import LOWER, by_name, text
from plugins.cache.flights import FAILED, UNSHARED
from plugins.cache.keeping import Keeper
from plugins.cache.parts import Parts
from proxy import EXCHANGE, Answer, GatewayError, Handler

if TYPE_CHECKING:
    from plugins.cache.fill import Fill
    from plugins.cache.rules import Conditions

_FAILURES = frozenset({500, 502, 503, 504})
_PASSING = frozenset({304, 408, 425, 429})
"""Statuses that tell nothing of what is stored: of the client's own copy, or of this moment."""

_COOKIE = b"set-cookie"
_CONDITIONS = ("If-None-Match", "If-Modified-Since")


class Fetch:
    """Brings the answer to one request; `entry` is what is stored for it and may not be served yet."""

    __slots__ = ("_asked", "_entry", "_handler", "_keeper", "_parts", "_request")

    def __init__(
        self,
        parts: Parts,
        request: web.BaseRequest,
        handler: Handler,
        asked: Asked,
        entry: Entry | None,
    ) -> None:
        self._parts = parts
        self._request = request
        self._handler = handler
        self._asked = asked
        self._entry = entry
        self._keeper = Keeper(parts, asked, request[EXCHANGE])

    async def __call__(self) -> Answer:
        """Return the answer. Raises GatewayError `not_cached` (504) for `only-if-cached`."""
        asked, store = self._asked, self._parts.store
        if asked.says(b"only-if-cached"):
            raise GatewayError("not_cached")
        served = await self._wait() if asked.waits else None
        if served is not None:
            return served
        flight = store.flights.lead(asked) if asked.leads else None
        fill = store.begin(asked.resource, flight)
        try:
            return await self._ask(fill)
        finally:
            if not fill.streams:
                fill.close()

    # -- 1. whoever asks for the same

    async def _wait(self) -> Answer | None:
        """Return what another request has brought, None when this one must ask by itself."""
        parts, asked = self._parts, self._asked
        ends, why = parts.clock() + parts.wait, self._why()
        while (flight := parts.store.flights.find(asked)) is not None:
            entry = self._entry
            if entry is not None and entry.policy.serves_while(parts.late(entry)):
                return self._served("stale", entry, "hit; detail=stale-while-revalidate")
            if not await flight.over(ends - parts.clock()):
                return None
            entry = self._entry = parts.store.find(asked)
            if entry is not None and self._usable(entry):
                return self._served("collapsed", entry, f"{why}; collapsed")
            if entry is None and parts.store.knows(asked):
                return None  # what came differs by `Vary`, and so may all that others bring
        return None

    def _usable(self, entry: Entry) -> bool:
        parts = self._parts
        return parts.usable(self._asked, entry, parts.age(entry), parts.lifetime(entry))

    # -- 2. the upstream

    async def _ask(self, fill: Fill) -> Answer:
        began, why = self._parts.clock(), self._why()
        entry = self._entry
        if entry is None or not entry.validated:
            answer = await self._handler(self._request)
        else:
            answer = await self._ask_on(self._parts.rules.conditions(entry))
            if answer.status == 304:
                kept = self._freshened(entry, answer, fill, began, why)
                if kept is not None:
                    return kept
                began = self._parts.clock()
                answer = await self._handler(self._request)
        if entry is not None and self._beats(entry, answer):
            fill.close(FAILED)
            return self._instead(entry, answer)
        return self._taken(answer, fill, began, why)

    async def _ask_on(self, conditions: Conditions) -> Answer:
        """Ask on conditions of our own: the client's would be answered for what it has."""
        headers = self._request[EXCHANGE].outgoing.headers
        before = [(name, value) for name in _CONDITIONS for value in headers.getall(name, ())]
        for name in _CONDITIONS:
            headers.popall(name, None)
        headers.update(conditions)
        try:
            return await self._handler(self._request)
        finally:
            for name in _CONDITIONS:
                headers.popall(name, None)
            headers.extend(before)

    # -- 3. what is stored

    def _freshened(
        self, old: Entry, told: Answer, fill: Fill, began: float, why: str
    ) -> Answer | None:
        """Return the stored answer as a 304 updates it, None when the 304 means another one."""
        given = self._keeper.dated(told.wire_fields())
        news = [field for field in given if LOWER[field[0]] != _COOKIE]
        fields = self._parts.rules.freshened(old, news)
        if fields is None:
            return None
        values = by_name(fields)
        variant = self._keeper.variant(values)
        entry = self._keeper.made(variant or (), old.status, old.reason, fields, began)
        entry.complete(old.body)
        self._parts.store.remove([old])
        if variant is not None and self._keeper.storable(old.status, values):
            fill.put(entry, shared=self._usable(entry))
        else:
            fill.close(UNSHARED)
        answer = self._served("revalidated", entry, f"{why}; fwd-status=304")
        for name, value in given:
            if LOWER[name] == _COOKIE:
                answer.add_header("Set-Cookie", text(value))
        return answer

    def _beats(self, entry: Entry, answer: Answer) -> bool:
        """Tell whether a stale answer is served in place of this one."""
        return (
            answer.status in _FAILURES
            and not self._asked.strict
            and entry.policy.serves_error(self._parts.late(entry), self._parts.stale_if_error)
        )

    def _instead(self, entry: Entry, answer: Answer) -> Answer:
        answer.close()
        told = "" if answer.error is not None else f"; fwd-status={answer.status}"
        return self._served("stale", entry, f"fwd=stale{told}; detail=stale-if-error")

    def _served(self, result: str, entry: Entry, how: str) -> Answer:
        parts = self._parts
        parts.store.counts[result] += 1
        return answers.used(self._asked, entry, parts.age(entry), parts.lifetime(entry), how)

    # -- 4. what is new

    def _taken(self, answer: Answer, fill: Fill, began: float, why: str) -> Answer:
        """Return the upstream's answer; it is stored as it goes by where that may be."""
        parts, old = self._parts, self._entry
        parts.store.counts["miss"] += 1
        if old is not None and answer.status < 500 and answer.status not in _PASSING:
            parts.store.remove([old])
        entry = self._keeper.entry_of(answer, began)
        if entry is None:
            answer.add_header(answers.STATUS, f"brain; {why}")
            fill.close(FAILED if answer.status >= 500 else UNSHARED)
            return answer
        left = parts.lifetime(entry) - parts.age(entry)
        answer.add_header(answers.STATUS, f"brain; {why}; stored; ttl={left}")
        fill.expect(entry, parts.max_entry, shared=self._usable(entry))
        answer.tap(fill)
        if fill.streams:
            self._request[EXCHANGE].on_finish(fill.finish)
        return answer

    def _why(self) -> str:
        """Return why the upstream is asked, in the words of RFC 9211, 2.2."""
        entry = self._entry
        if entry is not None:
            strict = self._asked.strict and self._parts.late(entry) < 0
            return "fwd=request" if strict else "fwd=stale"
        return "fwd=vary-miss" if self._parts.store.knows(self._asked) else "fwd=uri-miss"
