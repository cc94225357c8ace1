"""What would be tried again: the forwarder's own rule, asked for every failure of an upstream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from proxy.codes import CODES, Side
from proxy.errors import GatewayError
from proxy.plugin.exchange import Attempt
from proxy.runtime.forward import Body
from proxy.runtime.retrying import AGAIN, safe, why_again
from proxy.upstream.body import Lease

if TYPE_CHECKING:
    from proxy.server.request import Request
    from proxy.upstream.connection import Connection

HELD = b"?"
"""Stands for a body that is here whole."""

_LATE = frozenset({"response_body"})
"""Stages behind the answer's head: nothing is tried again once that is out."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Failures after which one more try is made.

    `reused` says that it is made only where the connection had served before and brought no byte of
    an answer; `whole` that the body must be here whole before it is sent.
    """

    reason: str
    codes: tuple[str, ...]
    reused: bool
    whole: bool


def retries(request: Request, body: Body) -> list[Retry]:
    """Return what is tried again for this request, each failure where it asks least."""
    if request.route.retry.attempts == 1:
        return []
    ways = [(reused, whole) for reused in (False, True) for whole in (False, True)]
    found: dict[tuple[str, bool, bool], list[str]] = {}
    known: set[str] = set()
    for reused, whole in ways:
        tried = HELD if whole else body
        again = {code: _again(request, code, tried, reused=reused) for code in _codes()}
        for code, reason in again.items():
            if reason is not None and code not in known:
                known.add(code)
                found.setdefault((reason, reused, whole), []).append(code)
    failures = [
        Retry(reason, tuple(codes), reused, whole)
        for (reason, reused, whole), codes in found.items()
    ]
    return [*failures, *_statuses(request, body)]


def _statuses(request: Request, body: Body) -> Iterator[Retry]:
    """Yield the statuses that are tried again, where this request may be sent twice."""
    statuses = tuple(map(str, request.route.retry.statuses))
    for tried in (body, HELD):
        if statuses and safe("status", request, tried) == "status":
            yield Retry("status", statuses, reused=False, whole=tried is HELD and body is not HELD)
            return


def _codes() -> list[str]:
    return [
        code
        for code, known in CODES.items()
        if known.side is Side.UPSTREAM and known.stage not in _LATE
    ]


def _again(request: Request, code: str, body: Body, *, reused: bool) -> str | None:
    attempt = Attempt("")
    attempt.reused = reused
    route = request.route
    lease = Lease(route.upstream)
    lease.target = route.upstream.targets[0]
    if reused:
        lease.connection = cast("Connection", SimpleNamespace(silent=True))
    word = why_again(GatewayError(code), request, attempt, body, lease)
    return word if word in AGAIN else None
