"""The ways of a route and its copies as JSON-able data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxy.config.models import ValueTest
from proxy.explaining.facts import Explanation
from proxy.explaining.masks import Masks
from proxy.explaining.shaping import Branch
from proxy.explaining.told_routes import place_of, wanted


def split(told: Explanation, masks: Masks) -> dict[str, Any] | None:
    """Return the upstreams of the route and which of them gets the request; None without `split`."""
    found = None if told.taken is None else told.taken.split
    if found is None:
        return None
    return {
        "upstream": found.chosen.upstream,
        "reason": found.reason,
        "by": found.by,
        "point": found.point,
        "upstreams": [_branch(one, masks) for one in found.branches],
    }


def _branch(branch: Branch, masks: Masks) -> dict[str, Any]:
    return {
        "name": branch.upstream,
        "share": branch.share,
        "headers": _tests(branch.headers, masks),
        "cookies": _tests(branch.cookies, masks),
        "place": place_of(branch.place),
    }


def _tests(tests: Iterable[ValueTest], masks: Masks) -> list[dict[str, str]]:
    return [{"name": test.name, "asked": wanted(test, masks)} for test in tests]


def mirror(told: Explanation) -> dict[str, Any] | None:
    """Return what becomes of copies; None without `mirror`."""
    found = None if told.taken is None else told.taken.mirror
    if found is None:
        return None
    return {
        "upstream": found.upstream,
        "share": found.share,
        "compare": found.compare,
        "never": found.never,
        "place": place_of(found.place),
    }
