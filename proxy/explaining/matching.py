"""Why a route takes a request, and what keeps the others from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy import paths
from proxy.config.models import ValueTest
from proxy.errors import GatewayError
from proxy.runtime.begin import method_asked_for
from proxy.runtime.router import Candidate, Miss, misses

if TYPE_CHECKING:
    from proxy.runtime.snapshot import Snapshot
    from proxy.server.request import Request


@dataclass(frozen=True, slots=True)
class Failed:
    """A predicate that does not hold, and what there was instead: no value, one or several."""

    miss: Miss
    sent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rival:
    """A route whose path matches. `failed` are its predicates that do not hold, maybe none."""

    candidate: Candidate
    failed: tuple[Failed, ...]


def rivals(snapshot: Snapshot, request: Request) -> list[Rival]:
    """Return all routes whose path matches, in the order in which they are asked."""
    path = canonical(request)
    if path is None:
        return []
    method, host = method_asked_for(request), request.exchange.client.host
    return [
        Rival(
            one,
            tuple(
                Failed(miss, _sent(miss, request)) for miss in misses(one, method, host, request)
            ),
        )
        for one in snapshot.router.candidates(path)
    ]


def _sent(miss: Miss, request: Request) -> tuple[str, ...]:
    if isinstance(miss.asked, ValueTest):
        values = request.headers if miss.kind == "header" else request.query
        return tuple(values.getall(miss.asked.name, []))
    sent = method_asked_for(request) if miss.kind == "method" else request.exchange.client.host
    return (sent,) if sent else ()


def canonical(request: Request) -> str | None:
    """Return the view of the request's path on which routes match, None for a refused one."""
    try:
        return paths.canonical(paths.split_target(request.target)[0])
    except GatewayError:
        return None


def winner_of(snapshot: Snapshot, request: Request, found: list[Rival]) -> Candidate | None:
    """Return the candidate by which the request's route took it, None where no route did."""
    route = request.route
    if route is None:
        return None
    if snapshot.fallback is not None and route is snapshot.fallback.route:
        return snapshot.fallback
    prefix = request.exchange.prefix
    return next(
        one.candidate
        for one in found
        if one.candidate.route is route and one.candidate.prefix == prefix
    )


def why_ahead(winner: Candidate, other: Candidate) -> str:
    """Say in a few words what puts the winner's rank ahead of another's."""
    (literal, depth, below, predicates, _), (o_literal, o_depth, o_below, o_predicates, _) = (
        winner.rank,
        other.rank,
    )
    if literal != o_literal:
        return "its whole path is literal"
    if depth != o_depth:
        return f"longer literal prefix ({_segments(-depth)}, not {-o_depth})"
    if below != o_below:
        return "its path ends where the request's does"
    if predicates != o_predicates:
        return f"more predicates ({-predicates}, not {-o_predicates})"
    return "listed first"


def _segments(number: int) -> str:
    return "1 segment" if number == 1 else f"{number} segments"
