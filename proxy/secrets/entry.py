"""What is kept of one path of a store, and until when it may be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from proxy.ports.secrets import (
    Keeping,
    Lease,
    Secret,
    SecretAway,
    SecretError,
    SecretForbidden,
    SecretMissing,
)
from proxy.redaction import SECRETS
from proxy.secrets.bound import Bound
from proxy.secrets.lines import Lines

log = logging.getLogger("brain.secrets")

SOON = 0.75
"""The part of its time after which a value is asked for again, behind the requests that use it."""

LEASE_SOON = 2 / 3
"""The same for a lease, which is renewed then."""

LEASE_LEAST = 0.05
"""The last part of a lease is not used: what was sent in it could arrive too late."""

PAUSE = 1.0
"""Seconds between two questions to a store that is in trouble."""


class Entry:
    """A `KeptSecret`. Times are readings of the cache's clock.

    Up to `until` nobody is asked. From then on the store is; up to `fresh` nobody waits for it. With
    `error` the last question went wrong: where that is trouble, what is kept is good up to
    `stale_until`. A lease `ends` a little later. What was read before `written` is
    older than what is kept. `gone` says why nothing is used any more of what was.
    """

    __slots__ = (
        "again_at",
        "asking",
        "bound",
        "confirmed",
        "ends",
        "error",
        "fresh",
        "gone",
        "lease",
        "lines",
        "path",
        "secret",
        "stale_until",
        "until",
        "written",
    )

    def __init__(self, path: str, lines: Lines) -> None:
        self.path = path
        self.lines = lines
        self.gone: str | None = None
        self.secret: Secret | None = None
        self.lease: Lease | None = None
        self.error: SecretError | None = None
        self.asking: asyncio.Task[None] | None = None
        self.bound: list[Bound] = []
        self.confirmed = self.until = self.fresh = self.stale_until = float("-inf")
        self.again_at = self.ends = self.written = float("-inf")

    def __repr__(self) -> str:
        return f"<Entry {self.path} {self.secret!r}>"

    def usable(self, now: float) -> bool:
        """Say whether what is kept may be used without waiting for the store."""
        if self.secret is None:
            return False
        return now < (self.fresh if self.error is None else self.stale_until)

    @property
    def just_given(self) -> bool:
        """Whether the last question was answered well, for those who have waited for that.

        An answer may take longer than a short `fresh`, which is counted from the question.
        """
        return self.secret is not None and self.error is None and self.lease is None

    @property
    def stale(self) -> bool:
        """Whether it is used only because the store can't be asked."""
        return self.error is not None

    @property
    def why(self) -> str | None:
        """Why the last question went wrong."""
        return None if self.error is None else str(self.error)

    # -- what the store said

    def take(self, secret: Secret, keeping: Keeping, now: float) -> bool:
        """Keep what the store gave. Say whether it is another than before."""
        kept = self.secret
        another = kept is None or not _same(kept, secret)
        if another:
            self._keep(secret)
        self._is_back()
        self.error = None
        self.hold(secret.lease, keeping, now)
        self._tell(secret.fields)
        return another

    def hold(self, lease: Lease | None, keeping: Keeping, now: float) -> None:
        """Note that the store confirmed it now, with a lease or without."""
        self.confirmed, self.lease, self.error = now, lease, None
        if lease is None:
            self.until = now + SOON * keeping.fresh
            self.fresh = now + keeping.fresh
            self.stale_until = now + max(keeping.stale_if_error, keeping.fresh)
        else:
            self.until = now + LEASE_SOON * lease.seconds
            self.fresh = self.stale_until = now + (1 - LEASE_LEAST) * lease.seconds
            self.ends = now + lease.seconds

    def end_lease(self, at: float) -> None:
        """Note that the lease will have ended at a moment: another is to be had before."""
        self.until = float("-inf")
        self.fresh = self.stale_until = min(self.stale_until, at)
        self.lease = None

    def refuse(self, error: SecretError, keeping: Keeping, now: float) -> None:
        """Note that the store said no, or is in trouble: then what is kept may stay in use."""
        authoritative = isinstance(error, SecretMissing | SecretForbidden)
        if authoritative or self.secret is None or now >= self.stale_until:
            self._evict(str(error), authoritative=authoritative)
        elif str(error) != self.why:
            self._stays(error)
        self.error = error
        self.until = now + (min(keeping.negative, keeping.fresh) if authoritative else PAUSE)

    def drop(self) -> None:
        """Forget it: who holds this asks anew."""
        self._keep(None)
        self.until = float("-inf")

    def _keep(self, secret: Secret | None) -> None:
        """Keep a secret in place of the one before; no line of the log shows one that is kept."""
        SECRETS.add(_values(secret))
        SECRETS.remove(_values(self.secret))
        self.secret, self.lease = secret, None

    # -- those who are bound to its fields

    def _tell(self, fields: Mapping[str, str]) -> None:
        for bound in self.bound:
            value = fields.get(bound.reference.field)
            if value is None:
                if bound.evict("the store has no such field any more"):
                    log.error("secret %s: %s", bound.reference, bound.why)
            elif bound.renew(value):
                log.info("secret %s: a new value, version %d", bound.reference, bound.version)

    def _evict(self, why: str, *, authoritative: bool) -> None:
        served = self.secret is not None or (self.gone is not None and authoritative)
        self._keep(None)
        changed = [each for each in self.bound if each.evict(why)]
        if changed or (served and not self.bound and self.gone != why):
            self._say(logging.ERROR, "secret %s: %s; it is not used any more", self.path, why)
        if served:
            self.gone = why

    # -- what is told of it

    def _say(self, level: int, message: str, *given: object) -> None:
        """Write a line. What is bound stands in the file; other paths are as many as callers name."""
        (log.log if self.bound else self.lines.tell)(level, message, *given)

    def _is_back(self) -> None:
        if self.gone is not None or (self.error is not None and self.bound):
            self._say(logging.INFO, "secret %s: the store gives it again", self.path)
        self.gone = None

    def _stays(self, error: SecretError) -> None:
        """Tell of trouble. That a store is away it says itself, once for all paths."""
        if self.bound or not isinstance(error, SecretAway):
            text = "secret %s: %s; its last value stays in use"
            self._say(logging.WARNING, text, self.path, error)

    def trouble(self, why: str, keeping: Keeping, now: float) -> None:
        """Note that the store did not answer in time; what it says later still counts."""
        self.refuse(SecretAway(why), keeping, now)


def _values(secret: Secret | None) -> Iterable[str]:
    # The environment's fields are looked up one by one: nobody may want the others.
    known = secret is not None and isinstance(secret.fields, dict)
    return secret.fields.values() if secret is not None and known else ()


def _same(one: Secret, other: Secret) -> bool:
    return one.version == other.version and one.fields == other.fields
