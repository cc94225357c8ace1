"""RFC 9111 by hishel's state machine: what may be stored, what is asked again, what a 304 means.

hishel is driven without its own storages. What it would get wrong for lack of knowledge is told to it
in its own terms: it takes a stored answer's age from Date alone and guesses at lifetimes, so it sees
each stored answer with a Date that gives its true age, and with the lifetime that is in force. This
module is imported when the plugin is set up: hishel brings SQLite with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import uuid4

import hishel

from plugins.cache.asked import STRANGER, Asked
from plugins.cache.dates import format_date
from plugins.cache.entry import Entry
from plugins.cache.fields import Field, text

_OPTIONS = hishel.CacheOptions(shared=True, supported_methods=["GET"], allow_stale=False)

Conditions = dict[str, str]


class Rules:
    """Drives the state machine."""

    def storable(self, asked: Asked, status: int, fields: Sequence[Field]) -> list[Field] | None:
        """Return the fields to store of an answer, None when it is not to be stored.

        What a caller is given alone is not seen as given to somebody with an Authorization: it is
        stored for that caller, and RFC 9111, 3.5 is about all others.
        """
        known = asked.scope is STRANGER and b"authorization" in asked.values
        headers = hishel.Headers({"authorization": "known"} if known else {})
        asking = hishel.CacheMiss(
            request=hishel.Request("GET", asked.resource[1], headers), options=_OPTIONS
        )
        state = asking.next(hishel.Response(status, _headers(fields)))
        if not isinstance(state, hishel.StoreAndUse):
            return None
        kept = state.response.headers
        return [field for field in fields if text(field[0]) in kept]

    def revalidation(
        self, asked: Asked, entry: Entry, age: int, lifetime: int
    ) -> Revalidation | None:
        """Return how `entry` is asked for again, None when it may be served as it is.

        `lifetime` is 0 when the client wants it asked for again, however fresh it is.
        """
        request = hishel.Request("GET", asked.resource[1], hishel.Headers({}))
        seen = _seen(entry, age, lifetime)
        known = hishel.Entry(uuid4(), request, hishel.Response(entry.status, seen))
        state = hishel.IdleClient(options=_OPTIONS).next(request, [known])
        return Revalidation(state, entry) if isinstance(state, hishel.NeedRevalidation) else None


class Revalidation:
    """A stored answer that is asked for again."""

    def __init__(self, state: hishel.NeedRevalidation, entry: Entry) -> None:
        self._state = state
        self._entry = entry

    @property
    def conditions(self) -> Conditions:
        """Fields that ask for the answer unless the stored one still holds (RFC 9111, 4.3.1)."""
        asked = self._state.request.headers
        names = (("If-None-Match", "if-none-match"), ("If-Modified-Since", "if-modified-since"))
        return {name: asked[lower] for name, lower in names if lower in asked}

    def freshened(self, fields: Sequence[Field]) -> list[Field] | None:
        """Return the stored answer's fields as a 304 updates them, None when it means another one.

        Fields keep the bytes and the order in which they came (RFC 9111, 3.2 and 4.3.4).
        """
        self._state.revalidating_entries[0].response.headers = _headers(self._entry.fields)
        state: hishel.AnyState = self._state.next(hishel.Response(304, _headers(fields)))
        if isinstance(state, hishel.InvalidateEntries):
            state = state.next()
        if not isinstance(state, hishel.NeedToBeUpdated):
            return None
        updated = state.updating_entries[0].response.headers
        newer, merged = _lists(fields), []
        for field in self._entry.fields:
            name = text(field[0]).lower()
            if name in updated and updated.get_list(name) != newer.get(name):
                merged.append(field)
        for field in fields:
            name = text(field[0]).lower()
            if name in updated and updated.get_list(name) == newer[name]:
                merged.append(field)
        return merged


def _seen(entry: Entry, age: int, lifetime: int) -> hishel.Headers:
    """Return the fields of a stored answer in hishel's terms; `Vary` was looked at before."""
    control = f"s-maxage={lifetime}" + (", no-cache" if entry.policy.no_cache else "")
    seen = {
        "cache-control": control,
        "date": text(format_date(int(time.time()) - age)),  # hishel reads the same clock
    }
    if entry.etag is not None:
        seen["etag"] = text(entry.etag)
    if entry.modified is not None:
        seen["last-modified"] = text(entry.modified)
    return hishel.Headers(seen)


def _lists(fields: Sequence[Field]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in fields:
        lists.setdefault(text(name).lower(), []).append(text(value))
    return lists


def _headers(fields: Sequence[Field]) -> hishel.Headers:
    return hishel.Headers(_lists(fields))
