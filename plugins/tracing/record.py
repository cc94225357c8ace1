"""What is kept of an exchange until its spans are made of it, in another thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from plugins.tracing.w3c import Parent
from proxy import Attempt, Exchange


@dataclass(slots=True)
class Trace:
    """The part of a trace that is the gateway's, for one exchange.

    `server` is the id of its own span and `upstream` the one that upstreams are told; `peer` is the
    address at the other end of the client's connection, "" where it is gone.
    """

    trace_id: str
    parent: Parent | None
    server: str
    upstream: str
    peer: str


@dataclass(slots=True)
class Record:
    """A finished exchange: plain values alone, so that no body or header is kept alive.

    `began` is in nanoseconds since 1970; all other times are seconds since then. `status` is None
    where no answer was sent.
    """

    trace: Trace
    began: int
    ended: float
    first_byte: float | None
    method: str
    path: str
    scheme: str
    host: str
    client: str
    route: str
    service: str | None
    request_id: str
    status: int | None
    code: str | None
    failed: bool
    attempts: Sequence[Attempt]
    sent_method: str


def record_of(exchange: Exchange, trace: Trace) -> Record:
    """Return what the spans of an exchange that is over are made of."""
    since = perf_counter() - exchange.started
    error, route, client = exchange.error, exchange.route, exchange.client
    status = exchange.status if exchange.head_sent is not None else None
    # A client's own mistake is no failure of the one that answers it.
    failed = (status or 0) >= 500 or (error is not None and error.side.value != "client")
    return Record(
        trace,
        time.time_ns() - int(since * 1e9),
        since if exchange.ended is None else exchange.ended,
        exchange.head_sent,
        exchange.method,
        exchange.path,
        client.scheme,
        client.host,
        client.address,
        route.name,
        route.service,
        exchange.request_id,
        status,
        None if error is None else error.code,
        failed,
        exchange.attempts,
        exchange.outgoing.method,
    )
