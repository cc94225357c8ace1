"""Where the time of an exchange went."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from proxy import Attempt, printable

LONGEST = 512
"""Characters of a value that a client or a target can make as long as it likes; the rest is cut."""


class Phases(Struct, omit_defaults=True, gc=False):
    """Milliseconds; a phase that was not reached is absent.

    `chain`: what came before the try, such as the plugins; `pool`: the wait for a slot of the
    upstream; `resolve`, `connect`, `tls`: opening a connection; `send`: writing the request; `wait`:
    until the answer's head; `body`: from there to the end.
    """

    total: float
    chain: float | None = None
    pool: float | None = None
    resolve: float | None = None
    connect: float | None = None
    tls: float | None = None
    send: float | None = None
    wait: float | None = None
    body: float | None = None


class Try(Struct, omit_defaults=True, gc=False):
    """One attempt: `status` or `code` is what came of it, `again` why another one followed, or none.

    `note` is what its error tells the log alone.
    """

    target: str
    ms: Phases
    reused: bool = False
    status: int | None = None
    code: str | None = None
    note: str = ""
    again: str | None = None


def phases(attempts: Sequence[Attempt], ended: float) -> Phases:
    """Return the phases of an exchange: all but `total` are the last attempt's. `ended`: seconds."""
    if len(attempts) == 1:
        return Phases(*attempts[0].phases(0.0, ended))
    total = int(ended * 1e6 + 0.5) / 1000
    if not attempts:
        return Phases(total)
    since = attempts[-2].end or 0.0
    return Phases(total, *attempts[-1].phases(since, ended)[1:])


def tries(attempts: Sequence[Attempt], ended: float) -> list[Try]:
    """Return each attempt of an exchange with its own phases. `ended`: seconds."""
    return [
        Try(
            attempt.target,
            Phases(*durations),
            attempt.reused,
            attempt.status,
            attempt.code,
            printable(attempt.note, LONGEST),
            attempt.again,
        )
        for attempt, durations in zip(attempts, Attempt.timed(attempts, ended), strict=True)
    ]
