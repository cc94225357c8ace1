"""What is sent for each caller, made once for each secret."""

from __future__ import annotations

from time import monotonic

from plugins.credentials.callers import Key
from plugins.credentials.injection import Prepared
from proxy import KeptSecret, Secret

MOST = 50_000
"""Callers that are remembered, by instance. The one that came first leaves first."""


class Known:
    """What is sent for one caller, while the store's own memory still has the secret behind it."""

    __slots__ = ("kept", "path", "prepared", "secret", "told")

    def __init__(
        self, path: str, kept: KeptSecret, secret: Secret, prepared: Prepared, told: str
    ) -> None:
        self.path = path
        self.kept = kept
        self.secret = secret
        self.prepared = prepared
        self.told = told


class Memory:
    """The last callers."""

    def __init__(self) -> None:
        self._known: dict[Key, Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def fresh(self, key: Key) -> Known | None:
        """Return what is known of a caller and may be sent without asking the store."""
        known = self._known.get(key)
        if (
            known is None
            or known.secret is not known.kept.secret
            or monotonic() >= known.kept.until
        ):
            return None
        return known

    def of(self, key: Key, path: str, secret: Secret) -> Known | None:
        """Return what was made of this very secret before."""
        known = self._known.get(key)
        return known if known and known.secret is secret and known.path == path else None

    def keep(self, key: Key, known: Known) -> None:
        """Remember a caller."""
        self._known.pop(key, None)
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[key] = known
