"""Two upstreams' answers to one request: whether they are the same, and where they differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from proxy.config.models import Compare
from proxy.config.pointers import escaped
from proxy.errors import GatewayError
from proxy.plugin.decoding import OF_ANSWER, decoded
from proxy.text import printable

MOST = 5
"""Differences that are told."""

LONGEST = 200
"""Characters of a pointer that are told."""

Rules = tuple[tuple[str | None, ...], ...]
"""Pointers as tokens, None for any one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as it was seen to go by. `body` is None where it was too large, or broke off."""

    status: int
    body: bytes | None = None
    coding: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`result` is a label of the metric; `pointers` lead to the first few differences."""

    result: str
    pointers: tuple[str, ...] = ()


def compared(one: Seen, other: Seen, how: Compare, ignore: Rules, limit: int) -> Verdict:
    """Hold two answers against each other; `limit` bounds their bodies in bytes, decoded.

    Bodies of which none is JSON, or one is not known, are `uncompared` unless they are equal.
    """
    if one.status != other.status:
        return Verdict("different-status")
    if how is not Compare.JSON:
        return Verdict("same")
    bodies = [_plain(one, limit), _plain(other, limit)]
    if None in bodies:
        return Verdict("uncompared")
    if bodies[0] == bodies[1]:
        return Verdict("same")
    ours, theirs = (_document(body or b"") for body in bodies)
    if ours is _NONE and theirs is _NONE:
        return Verdict("uncompared")
    found = tuple(differences(ours, theirs, ignore))
    return Verdict("different-body", found) if found else Verdict("same")


def _plain(seen: Seen, limit: int) -> bytes | None:
    if seen.body is None:
        return None
    try:
        return decoded(seen.body, seen.coding, limit, OF_ANSWER)
    except GatewayError:
        return None


class _Nothing:
    """Stands for what is not there, or is no JSON."""


_NONE = _Nothing()


def _document(body: bytes) -> Any:
    try:
        # NaN is no JSON and some servers write it; it would differ from itself.
        return json.loads(body, parse_constant=str)
    except (ValueError, RecursionError):
        return _NONE


def differences(one: Any, other: Any, ignore: Rules, most: int = MOST) -> Iterator[str]:
    """Yield JSON pointers to at most `most` places where two documents differ, in their order.

    1 and 1.0 are the same number; true is none. A place that one of them lacks differs.
    """
    waiting: list[tuple[str, Any, Any, Rules]] = [("", one, other, ignore)]
    while waiting and most > 0:
        at, left, right, rules = waiting.pop()
        below = _below(left, right)
        if below is None:
            if not _equal(left, right):
                most -= 1
                yield printable(at, LONGEST)
            continue
        inner = []
        for name, a, b in below:
            narrowed = _narrowed(rules, name) if rules else rules
            if () not in narrowed:
                inner.append((f"{at}/{escaped(name)}", a, b, narrowed))
        waiting += reversed(inner)


def _below(left: Any, right: Any) -> Sequence[tuple[str, Any, Any]] | None:
    if isinstance(left, dict) and isinstance(right, dict):
        names = dict.fromkeys([*left, *right])
        return [(name, left.get(name, _NONE), right.get(name, _NONE)) for name in names]
    if isinstance(left, list) and isinstance(right, list):
        pairs = zip_longest(left, right, fillvalue=_NONE)
        return [(str(number), a, b) for number, (a, b) in enumerate(pairs)]
    return None


def _narrowed(rules: Rules, name: str) -> Rules:
    return tuple(rule[1:] for rule in rules if rule[0] is None or rule[0] == name)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)
