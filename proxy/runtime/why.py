"""What is told of an exchange that is kept: who was to blame, and where its time went.

Pure functions from what the gateway has to JSON, so that whoever asks several processes may take
the answer of the one that knows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

from proxy.codes import CODES
from proxy.plugin.exchange import Attempt, Phases
from proxy.runtime.recent import Fault, Kept, kept_of, moment

if TYPE_CHECKING:
    from proxy.runtime.gateway import Gateway

LISTED = 20
"""Exchanges that are listed where nobody says how many."""

Told = dict[str, Any]


def why(gateway: Gateway, request_id: str) -> Told:
    """Tell of the last exchange with this id, None where none is kept or under way.

    `earlier` are others with the same id, the last first: a trusted proxy may have asked twice.
    `kept` tells how many exchanges are kept, and since when. Exchanges without an id have "".
    """
    found = [told(one) for one in _known(gateway) if request_id and one.request_id == request_id]
    return {"exchange": found[0] if found else None, "earlier": found[1:], "kept": kept(gateway)}


def recent(
    gateway: Gateway, last: int = LISTED, *, failed: bool = False, route: str | None = None
) -> Told:
    """Tell of the `last` exchanges that are over, the last to end first.

    `failed`: those alone that went wrong, a service's own 5xx included; that a client was refused
    before a target was asked is no failure.
    `route`: those of one route alone, by its name; "-" is what no route took.
    """
    chosen = (
        one for one in gateway.recent if (one.failed or not failed) and route in (None, one.route)
    )
    return {"exchanges": [told(one) for one in islice(chosen, last)], "kept": kept(gateway)}


def asked_for(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of `recent` that a query of `GET /recent` means. Raises ValueError."""
    last = int(query.get("last", LISTED))
    if last < 1:
        raise ValueError("last is a number above 0")
    return {"last": last, "failed": query.get("failed") == "1", "route": query.get("route")}


def why_of_all(answers: list[Told], _asked: Mapping[str, str]) -> Told:
    """Tell what several processes tell of the same id: each has its own exchanges."""
    if len(answers) == 1:
        return answers[0]
    found = [each for one in answers for each in (one["exchange"], *one["earlier"]) if each]
    found.sort(key=_moment_of_end, reverse=True)
    return {
        "exchange": found[0] if found else None,
        "earlier": found[1:],
        "kept": _kept_by_all([one["kept"] for one in answers]),
    }


def recent_of_all(answers: list[Told], asked: Mapping[str, str]) -> Told:
    """Tell of the last exchanges of several processes, as one would of its own."""
    if len(answers) == 1:
        return answers[0]
    found = [each for one in answers for each in one["exchanges"]]
    found.sort(key=_moment_of_end, reverse=True)
    return {
        "exchanges": found[: asked_for(asked)["last"]],
        "kept": _kept_by_all([one["kept"] for one in answers]),
    }


def _moment_of_end(one: Told) -> float:
    return datetime.fromisoformat(one["time"]).timestamp() + float(one["ms"]["total"]) / 1000


def _kept_by_all(kept: list[Told]) -> Told:
    def ring(name: str) -> Told:
        since = [one[name]["since"] for one in kept if one[name]["since"] is not None]
        return {
            "count": sum(one[name]["count"] for one in kept),
            "since": min(since, default=None),
        }

    return {
        "keep": sum(one["keep"] for one in kept),
        "last": ring("last"),
        "notable": ring("notable"),
    }


def _known(gateway: Gateway) -> Iterator[Kept]:
    yield from map(kept_of, gateway.under_way())
    yield from gateway.recent


def kept(gateway: Gateway) -> Told:
    """Tell how much is kept: of all exchanges, and of those that failed, were retried or slow."""
    now = time.time()
    everything, notable = gateway.recent.rings

    def ring(of: list[Kept]) -> Told:
        since = moment(of[0].started, now) if of else None
        return {"count": len(of), "since": None if since is None else _written(since)}

    return {"keep": gateway.recent.keep, "last": ring(everything), "notable": ring(notable)}


def told(one: Kept) -> Told:
    """Tell of one exchange. Times are milliseconds, sizes bytes of bodies."""
    over = one.ended is not None
    ended = perf_counter() - one.started if one.ended is None else one.ended
    phases = list(Attempt.timed(one.attempts, ended))
    return {
        "request_id": one.request_id,
        "time": _written(moment(one.started, time.time())),
        "over": over,
        "client": one.client,
        "method": one.method,
        "path": one.path,
        "route": one.route,
        "service": one.service,
        "status": one.status or None,
        "from": one.origin or None,
        "answered": _answered(one) if over else None,
        "received": one.received,
        "sent": one.sent,
        "blame": _blame(one) if over else None,
        "ms": {"total": _ms(ended), "head": None if one.head is None else _ms(one.head)},
        "longest": _longest(one, phases, ended),
        "attempts": [
            _attempt(each, durations) for each, durations in zip(one.attempts, phases, strict=True)
        ],
    }


def _answered(one: Kept) -> str:
    """Return what the client has: a "whole" answer, one that broke off ("cut"), or "nothing"."""
    if one.fault is None or one.fault.answered:
        return "whole"
    return "nothing" if one.head is None else "cut"


# -- whose fault it was


def _blame(one: Kept) -> Told | None:
    """Return side, stage, target and code, None where nobody failed.

    A 5xx that the service gave itself has no code: stage "answer", and its side is the upstream.
    """
    if one.fault is not None:
        return _of_code(one, one.fault)
    if one.status < 500:
        return None
    by_target = one.origin == "upstream" and bool(one.attempts)
    return {
        "side": "upstream" if by_target else "gateway",
        "stage": "answer" if by_target else "plugin",
        "target": one.attempts[-1].target if by_target else None,
        "code": None,
        "detail": f"The {'service' if by_target else 'plugin'} answered {one.status} itself.",
        "note": "",
        "remedy": (
            "See in the service's log why it answered so."
            if by_target
            else f"See why '{one.origin}' of the route's chain answers so: 'brain routes' shows it."
        ),
    }


def _of_code(one: Kept, fault: Fault) -> Told:
    known = CODES.get(fault.code)
    return {
        "side": fault.side,
        "stage": fault.stage,
        "target": _target(one, fault) if fault.side == "upstream" else None,
        "code": fault.code,
        "detail": fault.detail,
        "note": fault.note,
        "remedy": known.remedy if known is not None else "",
    }


def _target(one: Kept, fault: Fault) -> str | None:
    """Return the target that the error came from: the last that ended with it, else the last."""
    if fault.stage == "pool" or not one.attempts:
        return None  # no target was asked
    by_code = [each.target for each in one.attempts if each.code == fault.code]
    return by_code[-1] if by_code else one.attempts[-1].target


def _attempt(attempt: Attempt, durations: Phases) -> Told:
    known = None if attempt.code is None else CODES.get(attempt.code)
    return {
        "target": attempt.target,
        "reused": attempt.reused,
        "status": attempt.status,
        "code": attempt.code,
        "side": None if known is None else known.side.value,
        "stage": None if known is None else known.stage,
        "note": attempt.note,
        "reached": attempt.reached,
        "again": attempt.again,
        "ms": {
            phase: duration
            for phase, duration in zip(attempt.PHASES, durations, strict=True)
            if duration is not None
        },
    }


# -- where the time went


def _longest(one: Kept, phases: list[Phases], ended: float) -> Told:
    """Return the phase that took longest, with the number of its attempt, counted from 1.

    Where no target was asked, it is "chain" without an attempt, or "pool" where no slot became free
    in time; "after" is what came behind the last attempt.
    """
    if not phases:
        waited = one.fault is not None and one.fault.code == "upstream_pool_timeout"
        return {"phase": "pool" if waited else "chain", "attempt": None, "ms": _ms(ended)}
    found = [
        {"phase": phase, "attempt": number, "ms": duration}
        for number, durations in enumerate(phases, 1)
        for phase, duration in zip(Attempt.PHASES[1:], durations[1:], strict=True)
        if duration is not None
    ]
    rest = _ms(ended) - sum(durations[0] for durations in phases)
    found.append({"phase": "after", "attempt": None, "ms": round(max(rest, 0.0), 3)})
    return max(found, key=lambda each: each["ms"])


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _written(seconds: float) -> str:
    """Return a time of the wall clock as RFC 3339 in UTC, with milliseconds."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
