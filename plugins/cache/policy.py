"""How long an answer may be used, and by whom: freshness and age (RFC 9111, 4.2). Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from plugins.cache.dates import parse_date
from plugins.cache.directives import Directives, parse, seconds
from plugins.cache.fields import Values, whole_number

HEURISTIC = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses whose lifetime may be assumed when nothing says it (RFC 9110, 15.1)."""

_OLDEST = 2**31
_STRICT = (b"no-cache", b"must-revalidate", b"proxy-revalidate")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a stored answer says of its use. Times are whole seconds.

    `lifetime`: None where nothing is said; then `open` tells whether a default may stand in.
    `no_cache`: it may not be served before the upstream was asked. `strict`: it may never be served
    stale. `shared`: it is for everyone, whoever asked for it. `timed`: its lifetime is that of shared
    caches, which forbids to serve it stale unless it says otherwise itself (RFC 9111, 4.2.4).
    """

    lifetime: int | None
    open: bool
    no_cache: bool
    strict: bool
    shared: bool
    timed: bool
    stale_if_error: int | None
    stale_while_revalidate: int | None

    def lasts(self, default: int) -> int:
        """Return for how long it is fresh; `default` stands in where it may."""
        if self.lifetime is not None:
            return self.lifetime
        return default if self.open else 0

    def serves_error(self, late: int, default: int) -> bool:
        """Tell whether it may stand in for an error when it is stale for `late` (RFC 5861, 4).

        `default` stands in where it does not say so itself.
        """
        most = self.stale_if_error
        if most is None:
            most = 0 if self.timed else default
        return late < most and not self.strict

    def serves_while(self, late: int) -> bool:
        """Tell whether it may be served while another request revalidates it (RFC 5861, 3)."""
        most = self.stale_while_revalidate
        return most is not None and late < most and not self.strict


def policy_of(status: int, values: Values, now: float) -> Policy:
    """Return the policy of an answer that came at `now`, in seconds since 1970."""
    directives = parse(values.get(b"cache-control", b""))
    timed = b"s-maxage" in directives
    return Policy(
        lifetime=_lifetime(directives, values, now),
        open=status in HEURISTIC or b"public" in directives,
        no_cache=_whole(directives, b"no-cache"),
        strict=any(_whole(directives, name) for name in _STRICT),
        shared=is_shared(values),
        timed=timed,
        stale_if_error=seconds(directives, b"stale-if-error"),
        stale_while_revalidate=seconds(directives, b"stale-while-revalidate"),
    )


def forbids(values: Values) -> bool:
    """Tell whether an answer must not be stored here at all (RFC 9111, 3).

    `no-store` counts beside `must-understand` too: the cache need not store what it may.
    """
    directives = parse(values.get(b"cache-control", b""))
    return b"no-store" in directives or _whole(directives, b"private")


def is_shared(values: Values) -> bool:
    """Tell whether an answer says that it is for everyone, whoever asked for it.

    Only `public` does. RFC 9111, 3.5 lets `s-maxage` and `must-revalidate` do so too; but who writes
    those speaks of time, and may not have thought of callers that a gateway keeps apart.
    """
    return b"public" in parse(values.get(b"cache-control", b""))


def initial_age(values: Values, now: float, delay: float) -> float:
    """Return how old an answer was when it came, in seconds (RFC 9111, 4.2.3).

    `delay` is how long it took to come, from the moment that it was asked for.
    """
    told = whole_number(values.get(b"age", b"").partition(b",")[0].strip(), _OLDEST)
    dated = parse_date(values.get(b"date", b""))
    # A Date has whole seconds: what came within its second is new.
    apparent = 0 if dated is None else max(0, int(now) - dated)
    return max(apparent, (told or 0) + delay)


def _lifetime(directives: Directives, values: Values, now: float) -> int | None:
    """Return the lifetime that is said, the first of s-maxage, max-age and Expires that is there."""
    for name in (b"s-maxage", b"max-age"):
        told = seconds(directives, name)
        if told is not None:
            return told
    expires = values.get(b"expires")
    if expires is None:
        return None
    ends, dated = parse_date(expires), parse_date(values.get(b"date", b""))
    return 0 if ends is None else max(0, ends - (int(now) if dated is None else dated))


def _whole(directives: Directives, name: bytes) -> bool:
    """Tell whether a directive is there and speaks of the answer, not of some of its fields."""
    return directives.get(name) == b""
