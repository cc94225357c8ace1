"""Passwords that were good a short while ago."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256

MOST = 1024


class Memory:
    """Knows again what was good, for `seconds` after its last use.

    What is kept is a digest under a key of this process's own, never a password. It is made of the hash
    too: a new hash has nobody known. Under the same hash a password stays good, so one that is in
    use need not be checked again, and no flood of others can keep it out; time bounds only for how
    long the digest of one that nobody uses is there.
    """

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        self._seconds = seconds
        self._now = now
        self._key = secrets.token_bytes(32)
        self._until: dict[
            bytes, float
        ] = {}  # in the order of last use, which is that of their ends

    def digest(self, text: str, name: str, password: str) -> bytes:
        """Return what stands for a hash, a name without colon, and a password.

        The name is part of it so that who asks by one name never waits for, nor spares, the check of
        another: that would tell which names have a hash in common.
        """
        return hmac.digest(self._key, f"{text}\0{name}:{password}".encode(), sha256)

    def knows(self, digest: bytes) -> bool:
        """Tell whether it was good a short while ago; the while begins again."""
        until = self._until.pop(digest, 0.0)
        if self._now() >= until:
            return False
        self._until[digest] = self._now() + self._seconds
        return True

    def keep(self, digest: bytes) -> None:
        """Remember what was good; what is over is forgotten, and the least used for want of room."""
        now = self._now()
        self._until.pop(digest, None)
        while self._until and (len(self._until) >= MOST or next(iter(self._until.values())) <= now):
            del self._until[next(iter(self._until))]
        if self._seconds:
            self._until[digest] = now + self._seconds
