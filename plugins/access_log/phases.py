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
    found = Phases(_ms(ended))
    if not attempts:
        return found
    attempt = attempts[-1]
    since = (attempts[-2].end or 0.0) if len(attempts) > 1 else 0.0
    # Written out, not looped over names: this runs for every exchange (0.5 µs against 2).
    if attempt.pool is not None:
        found.pool, since = _ms(attempt.pool - since), attempt.pool
    if not attempt.reused:
        since = _opening(found, attempt, since)
    if attempt.sent is not None:
        found.send, since = _ms(attempt.sent - since), attempt.sent
    if attempt.head is not None:
        # An early answer's head comes before the last byte of the request is sent.
        found.wait = _ms(max(attempt.head - since, 0.0))
        found.body = _ms((attempt.end or ended) - attempt.head)
    return found


def _opening(found: Phases, attempt: Attempt, since: float) -> float:
    """Add the steps of opening a connection. Return when the last of them was over."""
    if attempt.resolved is not None:
        found.resolve, since = _ms(attempt.resolved - since), attempt.resolved
    if attempt.connected is not None:
        found.connect, since = _ms(attempt.connected - since), attempt.connected
    if attempt.secured is not None:
        found.tls, since = _ms(attempt.secured - since), attempt.secured
    return since


def _ms(seconds: float) -> float:
    """Return milliseconds to the microsecond: `round` takes three times as long."""
    return int(seconds * 1e6 + 0.5) / 1000
