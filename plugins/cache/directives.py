"""What `Cache-Control` says. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

Directives = Mapping[bytes, bytes]
"""Lower-case names to values, empty where there is none."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_DIRECTIVE = re.compile(
    rb"(%b)(?:[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",]*)))?[ \t]*(?:,|$)" % _TOKEN
)
_BROKEN = re.compile(rb"(%b)?[^,]*(?:,|$)" % _TOKEN)
_FOREVER = 2**31 - 1
"""Seconds that stand for all that are more (RFC 9111, 1.2.2)."""


@lru_cache(maxsize=256)
def parse(value: bytes) -> Directives:
    """Return the directives of a field's value, its lines joined by commas (RFC 9111, 5.2).

    Of a directive that is there twice the first counts (RFC 9111, 4.2.1). One that is malformed
    stands without its value: a `private` that no list can be read of is private as a whole.
    """
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(value):
        if value[at] in b" \t,":
            at += 1
            continue
        part = _DIRECTIVE.match(value, at) or _BROKEN.match(value, at)
        assert part is not None  # the second one takes anything
        name, *given = part.groups()
        if name:
            found.setdefault(name.lower(), next(filter(None, given), b""))
        at = part.end()
    return found


def seconds(directives: Directives, name: bytes) -> int | None:
    """Return a directive's seconds; 0 where they are no number, None where it is not there.

    What is not valid counts as stale (RFC 9111, 4.2.1).
    """
    value = directives.get(name)
    if value is None:
        return None
    return min(int(value), _FOREVER) if value.isdigit() else 0
