"""What is kept of secrets, as JSON for operators: where, how old, in what trouble. Never a value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import nsmallest
from typing import Any

from proxy.ports.secrets import SecretError, SecretForbidden, SecretMalformed, SecretMissing
from proxy.secrets.cache import SecretCache
from proxy.secrets.entry import Entry

Told = dict[str, Any]

STATES = ("forbidden", "malformed", "away", "stale", "missing", "old", "asking", "ok")
"""What a path may be, the worst first: `stale` is in use only because the store can't confirm it.

`old` is what went wrong before the store answered others, and is asked for by the next who needs it.
"""

_WELL = frozenset({"asking", "ok", "old"})

_OF_ERROR: tuple[tuple[type[SecretError], str], ...] = (
    (SecretMissing, "missing"),
    (SecretForbidden, "forbidden"),
    (SecretMalformed, "malformed"),
)


def state_of_error(error: SecretError) -> str:
    """Return the word for what a store said; `away` where it said nothing."""
    return next((word for kind, word in _OF_ERROR if isinstance(error, kind)), "away")


def answered(cache: SecretCache) -> float:
    """Return when the store was last asked for something that it gave, on the cache's clock."""
    return max((entry.confirmed for entry in cache.entries), default=-math.inf)


def state_of(entry: Entry, answered: float) -> str:
    """Return one of STATES. `answered` is when the store last gave something."""
    # What is bound is asked for all the time: its error is never old.
    if entry.error is not None and not entry.bound and entry.until < answered:
        return "old"
    if entry.secret is not None:
        return "ok" if entry.error is None else "stale"
    return "asking" if entry.error is None else state_of_error(entry.error)


def is_trouble(state: str, *, bound: bool) -> bool:
    """Say whether somebody should look: that a caller has no secret may be as it should."""
    return state not in _WELL and (bound or state != "missing")


def rank(state: str, path: str, *, bound: bool) -> tuple[bool, int, str]:
    """Return what sorts paths, those in trouble first."""
    return not is_trouble(state, bound=bound), STATES.index(state), path


def told(caches: Iterable[SecretCache], prefix: str, most: int) -> Told:
    """Tell of each store, and of the `most` paths that begin with `prefix`, the worst first.

    It walks over all that is kept: with some ten thousand paths that is nothing for the loop.
    """
    found = [(cache, answered(cache)) for cache in caches]
    rows = [
        (rank(state_of(entry, last), entry.path, bound=bool(entry.bound)), cache, last, entry)
        for cache, last in found
        for entry in cache.entries
        if entry.path.startswith(prefix)
    ]
    worst = nsmallest(most, rows, key=lambda row: row[0])
    return {
        "stores": [told_of_store(cache, last) for cache, last in found],
        "secrets": [told_of_path(entry, cache, last) for _, cache, last, entry in worst],
        "matching": len(rows),
    }


def told_of_store(cache: SecretCache, answered: float) -> Told:
    """Tell how a store fares, and how much is kept of it."""
    state, entries = cache.state(), list(cache.entries)
    return {
        "name": cache.name,
        "why": state.why,
        "token_left": _rounded(state.token_left),
        "logins": state.logins,
        "renewals": state.renewals,
        "questions": dict(cache.counts.outcomes),
        "paths": len(entries),
        "leases": sum(entry.lease is not None for entry in entries),
        "in_trouble": sum(
            is_trouble(state_of(entry, answered), bound=bool(entry.bound)) for entry in entries
        ),
    }


def told_of_path(entry: Entry, cache: SecretCache, answered: float) -> Told:
    """Tell what is kept of one path. Times are in seconds; None is never, or none."""
    now, secret = cache.now, entry.secret
    return {
        "store": cache.name,
        "path": entry.path,
        "state": state_of(entry, answered),
        "bound": sorted({each.reference.field for each in entry.bound}),
        "version": None if secret is None else secret.version,
        "age": _rounded(now - entry.confirmed) if secret is not None else None,
        "again_in": _rounded(max(0.0, entry.until - now)),
        "lease_left": _rounded(max(0.0, entry.ends - now)) if entry.lease is not None else None,
        "error": entry.why,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None or not math.isfinite(seconds) else round(seconds, 1)
