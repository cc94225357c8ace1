"""RFC 9111 by hishel's state machine: what may be stored, what is asked again, what a 304 means.

hishel is driven without its own storages, and its verdicts are remembered where they depend on little.
Whether a stored answer is fresh is not asked of it: it takes the age from Date alone, knows no Age field
and guesses at lifetimes (`policy.py` says all of that). Nor is `Vary`: entries that do not match are not
shown. This module is imported when the plugin is set up: hishel brings SQLite with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from uuid import UUID

import hishel

from plugins.cache.asked import Asked
from plugins.cache.entry import Entry
from plugins.cache.fields import LOWER, REMEMBERED, Field, by_name, text
from plugins.cache.scopes import STRANGER

_OPTIONS = hishel.CacheOptions(shared=True, supported_methods=["GET"], allow_stale=False)

_REQUEST = hishel.Request("GET", "/", hishel.Headers({}))
_ID = UUID(int=0)
"""The state machine sees one request and one stored answer at a time: which ones is no matter."""

Conditions = Mapping[str, str]

_NAMES = 4096
"""Bytes of all field names of an answer up to which the verdict on it is remembered."""


class Rules:
    """Drives the state machine."""

    def storable(self, asked: Asked, status: int, fields: Sequence[Field]) -> list[Field] | None:
        """Return the fields to store of an answer, None when it is not to be stored.

        What a caller is given alone is not seen as given to somebody with an Authorization: it is
        stored for that caller, and RFC 9111, 3.5 is about all others.
        """
        known = asked.scope is STRANGER and b"authorization" in asked.values
        values = by_name(fields)
        kept = _kept(status, values.get(b"cache-control", b""), tuple(values), known)
        return None if kept is None else [field for field in fields if LOWER[field[0]] in kept]

    def conditions(self, entry: Entry) -> Conditions:
        """Return fields that ask for an answer unless the stored one still holds (RFC 9111, 4.3.1)."""
        return _conditions(entry.etag, entry.modified)

    def freshened(self, entry: Entry, fields: Sequence[Field]) -> list[Field] | None:
        """Return the stored answer's fields as a 304 updates them, None when it means another one.

        Fields keep the bytes and the order in which they came (RFC 9111, 3.2 and 4.3.4).
        """
        stored = hishel.Response(entry.status, _headers(entry.fields))
        asking = hishel.NeedRevalidation(
            request=_REQUEST,
            original_request=_REQUEST,
            revalidating_entries=[hishel.Entry(_ID, _REQUEST, stored)],
            options=_OPTIONS,
        )
        state: hishel.AnyState = asking.next(hishel.Response(304, _headers(fields)))
        if isinstance(state, hishel.InvalidateEntries):
            state = state.next()
        if not isinstance(state, hishel.NeedToBeUpdated):
            return None
        updated = state.updating_entries[0].response.headers
        newer = {
            name: lines
            for name, lines in _lists(fields).items()
            if name in updated and updated.get_list(name) == lines
        }
        kept = [
            field
            for field in entry.fields
            if (name := text(field[0]).lower()) in updated and name not in newer
        ]
        return [*kept, *(field for field in fields if text(field[0]).lower() in newer)]


def _kept(
    status: int, control: bytes, names: tuple[bytes, ...], known: bool
) -> frozenset[bytes] | None:
    if len(control) > REMEMBERED or sum(map(len, names)) > _NAMES:
        return _judged(status, control, names, known)
    return _remembered(status, control, names, known)


def _judged(
    status: int, control: bytes, names: tuple[bytes, ...], known: bool
) -> frozenset[bytes] | None:
    """Return which of these fields are stored of such an answer, None when it is not to be.

    That depends on nothing else of an answer, and an upstream's answers are much alike: the state
    machine is asked once for each kind, as it takes as long as forwarding does. `known` tells that
    the request has an Authorization.
    """
    headers = dict.fromkeys(map(text, names), "")
    if control:
        headers["cache-control"] = text(control)
    request = hishel.Headers({"authorization": ""} if known else {})
    missed = hishel.CacheMiss(request=hishel.Request("GET", "/", request), options=_OPTIONS)
    state = missed.next(hishel.Response(status, hishel.Headers(headers)))
    if not isinstance(state, hishel.StoreAndUse):
        return None
    return frozenset(name for name in names if text(name) in state.response.headers)


_remembered = lru_cache(maxsize=128)(_judged)


def _conditions(etag: bytes | None, modified: bytes | None) -> Conditions:
    short = len(etag or b"") + len(modified or b"") <= REMEMBERED
    return (_asked_before if short else _asking)(etag, modified)


def _asking(etag: bytes | None, modified: bytes | None) -> Conditions:
    """Return what the state machine asks by for a stale answer with these validators."""
    seen = {"cache-control": "max-age=0"}
    if etag is not None:
        seen["etag"] = text(etag)
    if modified is not None:
        seen["last-modified"] = text(modified)
    known = hishel.Entry(_ID, _REQUEST, hishel.Response(200, hishel.Headers(seen)))
    state = hishel.IdleClient(options=_OPTIONS).next(_REQUEST, [known])
    assert isinstance(state, hishel.NeedRevalidation)
    asked = state.request.headers
    names = (("If-None-Match", "if-none-match"), ("If-Modified-Since", "if-modified-since"))
    return {name: asked[lower] for name, lower in names if lower in asked}


_asked_before = lru_cache(maxsize=256)(_asking)


def _lists(fields: Sequence[Field]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in fields:
        lists.setdefault(text(name).lower(), []).append(text(value))
    return lists


def _headers(fields: Sequence[Field]) -> hishel.Headers:
    return hishel.Headers(_lists(fields))
