"""Where the time of an exchange went."""

from __future__ import annotations

from msgspec import Struct

from proxy import Attempt


class Phases(Struct, omit_defaults=True, gc=False):
    """Milliseconds. All but `total` speak of the last attempt; one that was not reached is absent.

    `pool`: waiting for a connection; `resolve`, `connect`, `tls`: opening one; `send`: writing the
    request; `wait`: until the answer's head; `body`: from there to the end.
    """

    total: float
    pool: float | None = None
    resolve: float | None = None
    connect: float | None = None
    tls: float | None = None
    send: float | None = None
    wait: float | None = None
    body: float | None = None


def phases(attempt: Attempt, ended: float) -> Phases:
    """Return the phases of an exchange whose last attempt this is; `ended` is in seconds."""
    found = Phases(_ms(ended))
    since = attempt.began
    # Written out, not looped over names: this runs for every exchange (0.5 µs against 2).
    if attempt.pool is not None:
        found.pool, since = _ms(attempt.pool - since), attempt.pool
    if attempt.resolved is not None:
        found.resolve, since = _ms(attempt.resolved - since), attempt.resolved
    if attempt.connected is not None:
        found.connect, since = _ms(attempt.connected - since), attempt.connected
    if attempt.secured is not None:
        found.tls, since = _ms(attempt.secured - since), attempt.secured
    if attempt.sent is not None:
        found.send, since = _ms(attempt.sent - since), attempt.sent
    if attempt.head is not None:
        found.wait = _ms(attempt.head - since)
        found.body = _ms((attempt.end or ended) - attempt.head)
    return found


def _ms(seconds: float) -> float:
    """Return milliseconds to the microsecond: `round` takes three times as long."""
    return int(seconds * 1e6) / 1000
