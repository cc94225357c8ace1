"""Where the time of an exchange went."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from proxy import Attempt


class Phases(Struct, omit_defaults=True, gc=False):
    """Milliseconds. All but `total` speak of the last attempt; one that was not reached is absent.

    `pool`: until a connection may be used, with what the chain does before; `resolve`, `connect`,
    `tls`: opening one; `send`: writing the request; `wait`: until the answer's head; `body`: from
    there to the end.
    """

    total: float
    pool: float | None = None
    resolve: float | None = None
    connect: float | None = None
    tls: float | None = None
    send: float | None = None
    wait: float | None = None
    body: float | None = None


def phases(attempts: Sequence[Attempt], ended: float) -> Phases:
    """Return the phases of an exchange with these attempts; `ended` is in seconds."""
    if not attempts:
        return Phases(_ms(ended))
    attempt = attempts[-1]
    since = (attempts[-2].end or 0.0) if len(attempts) > 1 else 0.0
    pool = resolve = connect = tls = send = wait = body = None
    # Written out, not looped over names: this runs for every exchange (0.5 µs against 2).
    if attempt.pool is not None:
        pool, since = _ms(attempt.pool - since), attempt.pool
    if not attempt.reused:
        resolve, connect, tls, since = _opening(attempt, since)
    if attempt.sent is not None:
        send, since = _ms(attempt.sent - since), attempt.sent
    if attempt.head is not None:
        # An early answer's head comes before the last byte of the request is sent.
        wait = _ms(attempt.head - since) if attempt.head > since else 0.0
        body = _ms((attempt.end or ended) - attempt.head)
    return Phases(_ms(ended), pool, resolve, connect, tls, send, wait, body)


def _opening(
    attempt: Attempt, since: float
) -> tuple[float | None, float | None, float | None, float]:
    """Return the steps of opening a connection, and when the last of them was over."""
    resolve = connect = tls = None
    if attempt.resolved is not None:
        resolve, since = _ms(attempt.resolved - since), attempt.resolved
    if attempt.connected is not None:
        connect, since = _ms(attempt.connected - since), attempt.connected
    if attempt.secured is not None:
        tls, since = _ms(attempt.secured - since), attempt.secured
    return resolve, connect, tls, since


def _ms(seconds: float) -> float:
    """Return milliseconds to the microsecond: `round` takes three times as long."""
    return int(seconds * 1e6 + 0.5) / 1000
