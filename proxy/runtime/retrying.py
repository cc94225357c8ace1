"""Whether and when a request is tried again, and at which target (semantics.md, row 25)."""

from __future__ import annotations

import asyncio
import random
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

from proxy.config.models import Retry
from proxy.errors import GatewayError
from proxy.headers import decode
from proxy.plugin.exchange import Attempt, Exchange
from proxy.runtime.refusal import forget_frames
from proxy.runtime.replay import Replay
from proxy.upstream.body import Lease, called_again

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from proxy.runtime.route import Route
    from proxy.server.request import Request
    from proxy.upstream.head import Head
    from proxy.upstream.target import Target

    Body = bytes | AsyncIterable[bytes] | None

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110, 9.2.2)."""

PAUSE = 0.05
"""Seconds before the same target is asked a second time; each further pause is twice as long."""

LEAST = 0.01
"""Seconds that one more try must have: nobody answers sooner, and timers are no more exact."""

AGAIN = frozenset({"connect", "stale-connection", "reset", "status", "per-try-timeout"})
"""The words of `Attempt.again` after which another try follows."""

_OPENING = frozenset({"resolve", "connect", "tls"})
_QUICK = frozenset({"upstream_connect_refused", "upstream_connect_failed"})
_UNCOUNTED = frozenset({"connect", "stale-connection"})
"""Tries behind which no request arrived: they take nothing out of the budget."""


async def again(
    request: Request, lease: Lease, attempt: Attempt, body: Body, error: GatewayError
) -> tuple[Target, float]:
    """Note how a try ended and return the next target, and the seconds that it has for its head.

    Raises `error` when no other try follows.
    """
    exchange, route = request.exchange, request.route
    attempt.code, attempt.note = error.code, error.log
    attempt.end = perf_counter() - exchange.started
    if lease.ended:
        _give_up(called_again())
    word = why_again(error, request, attempt, body, lease)
    stale = _is_stale(error, attempt, lease)
    lease.let_go(error, stale=stale)
    patience = _patience(lease, attempt, exchange, route)
    word = attempt.again = _allowed(word, lease, route, len(lease.tried), patience)
    if word not in AGAIN:
        _give_up(error)
    target = _next(lease, request, error)
    if target in lease.tried and not stale:
        pause = PAUSE * 2 ** (len(lease.tried) - 1) * random.uniform(0.5, 1.0)  # noqa: S311
        patience = _patience(lease, attempt, exchange, route, pause)
        if patience < LEAST:
            attempt.again = "too-late"
            _give_up(error)
        await asyncio.sleep(pause)
    _count(lease, attempt, word)
    forget_frames(error)
    return target, patience


async def again_after(
    request: Request, lease: Lease, attempt: Attempt, body: Body, head: Head
) -> tuple[Target, float] | None:
    """Do as `again` for a status that the route tries again; None: the answer goes to the client."""
    exchange, route = request.exchange, request.route
    pause = retry_after(head)
    word: str | None = safe("status", request, body)
    if word == "status" and pause > route.retry.wait:
        word = "too-late"
    lease.status = attempt.status = head.status
    ended = perf_counter() - exchange.started
    patience = _patience(lease, attempt, exchange, route, pause)
    attempt.again = _allowed(word, lease, route, len(lease.tried) + 1, patience)
    if attempt.again != "status":
        return None
    attempt.end = ended
    attempt.head = attempt.end
    lease.let_go()
    await asyncio.sleep(pause)
    target = _next(lease, request, GatewayError("upstream_unavailable"))
    _count(lease, attempt, "status")
    return target, patience


def _give_up(error: GatewayError) -> NoReturn:
    raise error


def _count(lease: Lease, attempt: Attempt, word: str | None) -> None:
    lease.upstream.retries[word or ""] += 1


def _next(lease: Lease, request: Request, error: GatewayError) -> Target:
    try:
        return lease.upstream.group.choose(request, lease.tried)
    except GatewayError:
        raise error from None


# -- whether


def why_again(
    error: GatewayError, request: Request, attempt: Attempt, body: Body, lease: Lease
) -> str | None:
    """Return a word of `Attempt.again`: why one more try is safe, or why it is not.

    None where the failure is of no kind that is tried again. How many tries there were, and the
    budget, are not looked at.
    """
    if error.stage in _OPENING:
        tried = () if lease.target is None else (*lease.tried, lease.target)
        elsewhere = lease.upstream.group.has_another(tried)
        return "connect" if elsewhere or error.code in _QUICK else None
    if error.code == "upstream_reset_before_headers":
        if _is_stale(error, attempt, lease):
            return "stale-connection" if body is None else safe("stale-connection", request, body)
        return safe("reset", request, body)
    if error.code == "upstream_response_timeout" and request.route.retry.per_try is not None:
        return safe("per-try-timeout", request, body)
    return None


def _is_stale(error: GatewayError, attempt: Attempt, lease: Lease) -> bool:
    """Say whether an idle connection was used that the target had closed, as far as can be seen."""
    silent = lease.connection is not None and lease.connection.silent
    return attempt.reused and silent and error.code == "upstream_reset_before_headers"


def safe(word: str, request: Request, body: Body) -> str:
    """Return `word` where the request may be sent twice, else the word for why it may not."""
    if not may_repeat(request.exchange, request.route.retry):
        return "method"
    if request.informed:
        return "too-late"  # a 103 has gone out: what follows it belongs to this target
    return word if _is_whole(body) else "body"


def may_repeat(exchange: Exchange, retry: Retry) -> bool:
    """Say whether doing a request twice is doing it once (RFC 9110, 9.2.2)."""
    if exchange.outgoing.method in IDEMPOTENT:
        return True
    return retry.idempotency_key and "Idempotency-Key" in exchange.outgoing.headers


def _is_whole(body: Body) -> bool:
    return body is None or isinstance(body, bytes) or (isinstance(body, Replay) and body.whole)


def _allowed(
    word: str | None, lease: Lease, route: Route, tries: int, patience: float
) -> str | None:
    """Return `word`, or the one that says why there are no more tries."""
    if word not in AGAIN:
        return word
    retry = route.retry
    if tries >= retry.attempts:
        return "attempts"
    if patience < LEAST:
        return "too-late"
    if word not in _UNCOUNTED and not lease.upstream.budget.spend(retry):
        return "budget"
    return word


def keeps_body(exchange: Exchange, retry: Retry) -> bool:
    """Say whether a body is worth keeping while it is sent."""
    return retry.attempts > 1 and retry.buffer > 0 and may_repeat(exchange, retry)


# -- when


def _patience(
    lease: Lease, attempt: Attempt, exchange: Exchange, route: Route, pause: float = 0.0
) -> float:
    """Return how long the next try may take, which begins in `pause` seconds.

    All of them end when the first one would have to.
    """
    now = perf_counter() - exchange.started
    if lease.until is None:
        sent = now if attempt.sent is None else attempt.sent
        lease.until = sent + route.timeouts.response
    return min(route.patience, lease.until - now - pause)


def retry_after(head: Head) -> float:
    """Return the seconds that an answer asks to wait, 0 where it does not say (RFC 9110, 10.2.3).

    A date is taken for too long: clocks differ, and whoever means a moment writes seconds.
    """
    for name, value in head.fields:
        if name.lower() == b"retry-after":
            text = decode(value).strip()
            return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1e9
    return 0.0
