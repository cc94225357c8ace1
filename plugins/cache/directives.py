"""What `Cache-Control` says. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from plugins.cache.fields import REMEMBERED, whole_number

Directives = Mapping[bytes, bytes]
"""Lower-case names to values, empty where there is none."""

# Clients send this. No repetition gives back what it took, so a member is looked at once for each way to
# read it. A quoted value ends at the next quote, and another one can't begin before that: the character
# in front of where it would is no backslash. So all of them together are no longer than the field.
_MEMBER = re.compile(
    rb"[ \t,]*+"
    rb"(?:([!#$%&'*+.^_`|~0-9A-Za-z-]++)"
    rb"(?:(?:[ \t]*+=[ \t]*+(?:\"((?:[^\"\\]|\\.)*+)\"|([^\s\",]*+)))?+[ \t]*+(?:,|\Z)"
    rb"|([^,]*+))"
    rb"|[^,]++|\Z)",
    re.DOTALL,
)
_GRANTS = frozenset({b"public"})
"""Directives that allow something: what is malformed allows nothing."""

_FOREVER = 2**31 - 1
"""Seconds that stand for all that are more (RFC 9111, 1.2.2)."""


def parse(value: bytes) -> Directives:
    """Return the directives of a field's value, its lines joined by commas (RFC 9111, 5.2).

    Of a directive that is there twice the first counts (RFC 9111, 4.2.1). One that is malformed
    stands without its value: a `private` that no list can be read of is private as a whole. A
    malformed `public` is none. Takes time in proportion to the value's length.
    """
    return _remembered(value) if len(value) <= REMEMBERED else _parsed(value)


def _parsed(value: bytes) -> Directives:
    found: dict[bytes, bytes] = {}
    for name, quoted, plain, broken in _MEMBER.findall(value):
        lower = name.lower()
        if lower and not (broken and lower in _GRANTS):
            found.setdefault(lower, quoted or plain)
    return found


_remembered = lru_cache(maxsize=256)(_parsed)


def seconds(directives: Directives, name: bytes) -> int | None:
    """Return a directive's seconds; 0 where they are no number, None where it is not there.

    What is not valid counts as stale (RFC 9111, 4.2.1).
    """
    value = directives.get(name)
    if value is None:
        return None
    return whole_number(value, _FOREVER) or 0
