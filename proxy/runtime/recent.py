"""The last exchanges, kept in memory: what `brain why` and `brain why --last` tell of.

Two rings. One has the last exchanges, whatever became of them; the other those of them that are
asked for: what failed, was tried more than once or was slow. Neither a flood of good ones nor one of
refused strangers pushes anything out of the second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from proxy.config.models import Recent
from proxy.plugin.exchange import Attempt

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange

LONGEST = 512
"""Characters of a value that a stranger can make as long as it likes."""

MOST_ATTEMPTS = 16
"""Attempts of one exchange that are kept, the last ones: a plugin may call its handler at will."""


class Fault(NamedTuple):
    """The error with which an exchange ended; `answered` tells whether the client got it whole."""

    code: str
    side: str
    stage: str
    detail: str
    note: str
    answered: bool


class Kept(NamedTuple):
    """What is known of an exchange: plain values, and nothing of its headers, query or bodies.

    `started` is a `time.perf_counter()` reading, `ended` and `head` (when the answer's head was
    sent) are seconds since then. `origin` is who made the answer: "upstream", "gateway" or a
    plugin's name; empty where there was none. `received` and `sent` are body bytes. `ended` is None
    while it is under way.
    """

    request_id: str
    started: float
    ended: float | None
    head: float | None
    method: str
    path: str
    route: str
    service: str | None
    client: str
    status: int
    received: int
    sent: int
    origin: str
    attempts: Sequence[Attempt]
    fault: Fault | None = None

    @property
    def failed(self) -> bool:
        """Whether it went wrong; that a client was refused before a target was asked is no failure."""
        if self.status >= 500:
            return True
        return self.fault is not None and (bool(self.attempts) or self.fault.side != "client")


class RecentExchanges:
    """Both rings, each of `keep` exchanges: half a KiB for a good one, one to two for another."""

    def __init__(self) -> None:
        self._all: deque[tuple[Any, ...]] = deque(maxlen=0)
        self._notable: deque[Kept] = deque(maxlen=0)
        self._slow = 0.0

    def __repr__(self) -> str:
        return f"<RecentExchanges {len(self._all)} of {self.keep}, {len(self._notable)} notable>"

    @property
    def keep(self) -> int:
        """How many exchanges a ring holds; 0 where nothing is kept."""
        return self._all.maxlen or 0

    def follow(self, settings: Recent) -> None:
        """Take new bounds over; what is kept stays as far as there is room."""
        self._slow = settings.slow
        if settings.keep != self.keep:
            self._all = deque(self._all, settings.keep)
            self._notable = deque(self._notable, settings.keep)

    def note(self, exchange: Exchange) -> None:
        """Keep what is over.

        Of a good one on a reused connection a flat tuple of values is made, in 0.3 us. Its attempt
        would be less to write down, and more to keep: objects that the garbage collector follows,
        in memory that is cold when they go. The exchange itself has the caller's headers in it.
        """
        attempts, status, head = exchange.attempts, exchange.status, exchange.head_sent
        if (
            exchange.error is not None
            or len(attempts) > 1
            or status >= 500
            or head is None
            or head >= self._slow
        ):
            self._note_apart(exchange)
            return
        target: str | Attempt = ""
        pool = sent = answered = told = None
        if attempts:
            attempt = attempts[0]
            target = attempt
            if attempt.reused and attempt.queued is None:
                target, told = attempt.target, attempt.status
                pool, sent, answered = attempt.pool, attempt.sent, attempt.head
        route, answer = exchange.route, exchange.answer
        self._all.append(
            (
                exchange.request_id,
                exchange.started,
                exchange.ended,
                head,
                exchange.method,
                exchange.path[:LONGEST],
                route.name,
                route.service,
                exchange.client.address,
                status,
                exchange.received,
                exchange.sent,
                "" if answer is None else answer.origin,
                target,
                pool,
                sent,
                answered,
                told,
            )
        )

    def _note_apart(self, exchange: Exchange) -> None:
        for attempt in exchange.attempts:
            attempt.note = attempt.note[:LONGEST]
        kept = kept_of(exchange)
        self._all.append(kept)
        if kept.failed or len(kept.attempts) > 1 or (kept.head or 0.0) >= self._slow:
            self._notable.append(kept)

    # -- what is asked for

    def __iter__(self) -> Iterator[Kept]:
        """Yield all that is kept, the last to end first."""
        seen = set(map(id, self._all))
        yield from map(_read, reversed(self._all))
        yield from (one for one in reversed(self._notable) if id(one) not in seen)

    @property
    def rings(self) -> tuple[list[Kept], list[Kept]]:
        """Return what each ring holds, the first to end first."""
        return list(map(_read, self._all)), list(self._notable)


def _read(one: Any) -> Kept:
    """Return what `note` kept."""
    if isinstance(one, Kept):
        return one
    *facts, target, pool, sent, answered, status = one
    attempts: tuple[Attempt, ...] = ()
    if isinstance(target, Attempt):
        attempts = (target,)
    elif target:
        attempt = Attempt(target)
        attempt.reused, attempt.status = True, status
        attempt.pool, attempt.sent, attempt.head = pool, sent, answered
        attempts = (attempt,)
    return Kept._make((*facts, attempts, None))


def kept_of(exchange: Exchange) -> Kept:
    """Return what is known of an exchange, with its error; `ended` is None while it goes on."""
    answer = exchange.answer
    return Kept(
        exchange.request_id,
        exchange.started,
        exchange.ended,
        exchange.head_sent,
        exchange.method,
        exchange.path[:LONGEST],
        exchange.route.name,
        exchange.route.service,
        exchange.client.address,
        exchange.status,
        exchange.received,
        exchange.sent,
        "" if answer is None else answer.origin,
        exchange.attempts[-MOST_ATTEMPTS:],
        _fault_of(exchange),
    )


def _fault_of(exchange: Exchange) -> Fault | None:
    error = exchange.error
    if error is None:
        return None
    answer = exchange.answer
    return Fault(
        error.code,
        error.side.value,
        error.stage,
        error.detail[:LONGEST],
        error.log[:LONGEST],
        answer is not None and answer.error is error,
    )


def moment(reading: float, now: float) -> float:
    """Return the wall clock's time of a `perf_counter()` reading; `now` is the wall clock's."""
    return now - (perf_counter() - reading)
