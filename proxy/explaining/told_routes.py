"""The routes of an explanation as JSON-able data: which takes the request, and which nearly would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from proxy.config.matching import as_text
from proxy.config.models import Place, RouteSpec, ValueTest
from proxy.explaining.facts import Explanation, Taken
from proxy.explaining.masks import Masks
from proxy.explaining.matching import Failed, Rival, why_ahead
from proxy.explaining.origins import Origin
from proxy.runtime.router import Candidate


def place_of(place: Place | None) -> str | None:
    """Return a place as file:line."""
    return None if place is None else f"{place.file}:{place.line}"


def origin_of(origin: Origin) -> dict[str, Any]:
    """Return who decided a value, and where."""
    return {"from": origin.level, "place": place_of(origin.place)}


def named(spec: RouteSpec | None) -> dict[str, Any] | None:
    """Return a route by its name and place."""
    return None if spec is None else {"name": spec.name, "place": place_of(spec.place)}


def _match(candidate: Candidate, masks: Masks) -> str:
    match = candidate.match
    headers, query = (_hidden(tests, masks) for tests in (match.headers, match.query))
    return as_text(candidate.prefix, replace(match, headers=headers, query=query))


def _hidden(tests: Iterable[ValueTest], masks: Masks) -> tuple[ValueTest, ...]:
    return tuple(
        test if test.value is None else replace(test, value=masks.header(test.name, test.value))
        for test in tests
    )


def route(told: Explanation, masks: Masks) -> dict[str, Any] | None:
    """Return the route that takes the request, None where none does."""
    taken = told.taken
    if taken is None:
        return None
    candidate = taken.candidate
    spec = candidate.route.spec
    return {
        "name": spec.name,
        "service": spec.service,
        "place": place_of(spec.place),
        "fallback": taken.fallback,
        "match": _match(candidate, masks),
        "prefix": candidate.prefix,
        "alias": candidate.prefix != spec.prefixes[0],
        "rank": _rank(candidate),
        "why": _why(told, taken),
        "access": spec.access.value,
        "access_from": origin_of(taken.access),
        "authenticators": list(taken.authenticators),
        "values": {name: masks.text(value) for name, value in taken.values.items()},
    }


def _rank(candidate: Candidate) -> dict[str, Any]:
    named, depth, below, predicates, listed = candidate.rank
    return {
        "literal": not named,
        "literal_segments": -depth,
        "below": bool(below),
        "predicates": -predicates,
        "listed": listed,
    }


def _why(told: Explanation, taken: Taken) -> str:
    if taken.fallback:
        return "no route takes it"
    willing = [
        rival.candidate
        for rival in told.rivals
        if not rival.failed and rival.candidate is not taken.candidate
    ]
    if not willing:
        return "no other route takes it"
    other = willing[0]
    return f"ahead of {other.route.name}: {why_ahead(taken.candidate, other)}"


def near_miss(rival: Rival, winner: Candidate | None, masks: Masks) -> dict[str, Any]:
    """Return another route whose path matches, and what keeps it from the request."""
    spec = rival.candidate.route.spec
    outranked = winner is not None and not rival.failed
    return {
        "name": spec.name,
        "place": place_of(spec.place),
        "match": _match(rival.candidate, masks),
        "failed": [_failed(one, masks) for one in rival.failed],
        "outranked": why_ahead(winner, rival.candidate) if outranked and winner else None,
    }


def _failed(failed: Failed, masks: Masks) -> dict[str, Any]:
    kind, asked = failed.miss
    if not isinstance(asked, ValueTest):
        sent = [masks.text(value) for value in failed.sent]
        return {"predicate": kind, "name": None, "asked": " or ".join(sorted(asked)), "sent": sent}
    return {
        "predicate": kind,
        "name": asked.name,
        "asked": wanted(asked, masks),
        "sent": [masks.header(asked.name, value) for value in failed.sent],
    }


def wanted(test: ValueTest, masks: Masks) -> str:
    """Return what a test asks of a value, in words or as the value itself."""
    if not test.present:
        return "absent"
    if test.value is None:
        return "any value"
    return f"{masks.header(test.name, test.value)}{'*' * test.prefix}"
