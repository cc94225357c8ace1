"""Verified tokens, remembered by digest: a signature is checked once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from plugins.jwt.sources import Source
from proxy import Principal


@dataclass(slots=True)
class Known:
    """Whom a token means, until when (seconds since 1970), and by which state of its issuer's keys."""

    principal: Principal
    until: float
    source: Source
    version: int
    weight: int
    by_cookie: Principal | None = None

    def ambient(self) -> Principal:
        """Return the principal as of a cookie, which browsers send by themselves."""
        if self.by_cookie is None:
            self.by_cookie = replace(self.principal, ambient=True)
        return self.by_cookie


class Memory:
    """At most `most` tokens in two generations: when the young one is full, the old one goes.

    So one look-up is one of a dict, and what is asked for stays. A token counts by its weight: ten
    thousand of people in hundreds of groups, 8 KiB each, would take 600 MB. The digest is no secret's
    substitute: it only keeps tokens themselves out of memory dumps.
    """

    def __init__(self, most: int) -> None:
        self._half = max(most // 2, 1) if most else 0
        self._filled = 0
        self._young: dict[bytes, Known] = {}
        self._old: dict[bytes, Known] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, digest: bytes, now: float) -> Known | None:
        """Return what is known of a token, None where it must be verified (again)."""
        known = self._young.get(digest)
        if known is None:
            known = self._old.pop(digest, None)
            if known is None:
                return None
            self.keep(digest, known)
        if now < known.until and known.version == known.source.version:
            return known
        self._drop(digest)
        return None

    def keep(self, digest: bytes, known: Known) -> None:
        """Remember a token."""
        if not self._half:
            return
        if self._filled >= self._half:
            self._old, self._young, self._filled = self._young, {}, 0
        self._drop(digest)
        self._young[digest] = known
        self._filled += known.weight

    def _drop(self, digest: bytes) -> None:
        known = self._young.pop(digest, None)
        if known is not None:
            self._filled -= known.weight


def weight_of(token: str) -> int:
    """Return how many KiB a token begins. Its claims take 4 to 17 times its length in memory."""
    return -(-len(token) // 1024)


def digest_of(token: str) -> bytes:
    """Return the digest of a token."""
    try:
        return sha256(token.encode()).digest()
    except UnicodeEncodeError:  # bytes that are no text: no token, and refused as one
        return sha256(token.encode("utf-8", "surrogateescape")).digest()
