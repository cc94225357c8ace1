"""What one line says about an exchange."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from time import perf_counter

from msgspec import Struct

from plugins.access_log.phases import LONGEST, Phases, Try, phases, tries
from proxy import Attempt, Exchange, Principal, printable

_NO_ATTEMPT = Attempt("")


class Line(Struct, omit_defaults=True, gc=False):
    """The fields in the order in which they are written; optional ones are left out when empty.

    `time` is when the exchange ended. `path` is the canonical view, without the query. `attempts`
    counts all tries; `target`, `reused` and the phases of `ms` are the last one's. `received`,
    `sent`: body bytes from and to the client. `ms`: milliseconds. `code`, `side`, `stage`: the
    error's; `note`: what it tells the log alone, such as the nearest route of a 404. `tries`: each
    attempt, where there was more than one, or an error. `credential`: which secret was put on the
    request, by the reference of the file and the store's version.
    """

    time: str
    request_id: str
    client: str
    method: str
    path: str
    status: int
    route: str
    attempts: int
    reused: bool
    received: int
    sent: int
    ms: Phases
    service: str | None = None
    prefix: str = ""
    target: str = ""
    code: str | None = None
    side: str | None = None
    stage: str | None = None
    note: str | None = None
    subject: str | None = None
    tenant: str | None = None
    credential: str | None = None
    request_headers: Mapping[str, str] | None = None
    response_headers: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    tries: list[Try] | None = None


class Clock:
    """Writes the time as RFC 3339 in UTC with milliseconds; what lines have in common, once."""

    __slots__ = ("_millisecond", "_now", "_second", "_second_text", "_text")

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._second = self._millisecond = -1
        self._second_text = self._text = ""

    def __call__(self) -> str:
        millisecond = int(self._now() * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._text = f"{self._second_text}{rest:03d}Z"
        return self._text


def line_of(exchange: Exchange, now: str) -> Line:
    """Return what is always logged of an exchange that is over; `now` is the time as text."""
    route, attempts, ended = exchange.route, exchange.attempts, exchange.ended
    if ended is None:
        ended = perf_counter() - exchange.started
    count = len(attempts)
    last = attempts[-1] if count else _NO_ATTEMPT
    line = Line(
        now,
        exchange.request_id,
        exchange.client.address,
        exchange.method,
        printable(exchange.path, LONGEST),
        exchange.status,
        route.name,
        count,
        last.reused,
        exchange.received,
        exchange.sent,
        phases(attempts, ended),
        route.service,
        exchange.prefix,
        last.target,
    )
    if count > 1 or exchange.error is not None:
        _add_failure(line, exchange, ended)
    if exchange.principal is not None:
        _add_principal(line, exchange.principal)
    if exchange.credential is not None:
        line.credential = exchange.credential
    return line


def _add_failure(line: Line, exchange: Exchange, ended: float) -> None:
    error = exchange.error
    if error is not None:
        line.code, line.side, line.stage = error.code, error.side.value, error.stage
        line.note = printable(error.log, LONGEST) if error.log else None
    line.tries = tries(exchange.attempts, ended) or None


def _add_principal(line: Line, principal: Principal) -> None:
    line.subject = printable(principal.subject, LONGEST)
    line.tenant = None if principal.tenant is None else printable(principal.tenant, LONGEST)
