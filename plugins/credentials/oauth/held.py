"""What is held of one secret: the token in use, and when it ends."""

from __future__ import annotations

import asyncio
import math
import time
from collections import ChainMap
from collections.abc import Mapping
from time import monotonic

from plugins.credentials.oauth.answer import MOST_SECONDS
from plugins.credentials.oauth.client import Credentials
from plugins.credentials.oauth.obtained import (
    BY,
    EXPIRES,
    REFRESH,
    TOKEN,
    UNTIL,
    Obtained,
    seconds_of,
)
from plugins.credentials.oauth.trouble import Trouble
from proxy import KeptSecret, Secret

_NOT_SENT = frozenset({REFRESH, EXPIRES, UNTIL, BY})
_NONE_SENT = dict.fromkeys(_NOT_SENT, "")

AGAIN_PERIOD, AGAIN_BURST = 15.0, 3
"""Callers can provoke refusals of a token, and with each an exchange: so many at once, and one more
after so many seconds."""


class Held:
    """A `KeptSecret`: what a store keeps at `path`, with the token that is good now in it.

    Up to `until` nobody is asked. From `soon` on a new token is got behind the requests that use this
    one, up to `ends`. Both are readings of `monotonic`.
    """

    __slots__ = (
        "_kept",
        "_made",
        "_of",
        "again_at",
        "ends",
        "flight",
        "obtained",
        "path",
        "soon",
        "token",
        "tried",
        "trouble",
        "unwritten",
        "writing",
    )

    def __init__(self, path: str, kept: KeptSecret) -> None:
        self.path = path
        self.token: tuple[str, float] | None = None
        self.soon = self.ends = self.again_at = -math.inf
        self.obtained: Obtained | None = None
        self.trouble: Trouble | None = None
        self.tried: Credentials | None = None
        self.flight: asyncio.Task[None] | None = None
        self.writing: asyncio.Task[None] | None = None
        self.unwritten: str | None = None
        self._kept = kept
        self._of: Secret | None = None
        self._made = Secret({})

    def __repr__(self) -> str:
        return f"<Held {self.path}>"

    @property
    def secret(self) -> Secret | None:
        """The secret with its token, None where the store's has changed since it was looked at."""
        return self._made if self._kept.secret is self._of else None

    @property
    def until(self) -> float:
        """When to ask for it again."""
        return min(self._kept.until, self.soon)

    @property
    def stale(self) -> bool:
        """Whether it is used only because the store can't be asked."""
        return self._kept.stale

    @property
    def idle(self) -> bool:
        """Whether it may be forgotten."""
        return self.flight is None and self.writing is None

    @property
    def unfinished(self) -> Obtained | None:
        """What was obtained for what the store has, and is not there yet."""
        obtained = self.obtained
        return obtained if obtained is not None and obtained.fits(self.fields) else None

    @property
    def latest(self) -> Mapping[str, str]:
        """The fields that a token is asked for with now."""
        obtained = self.unfinished
        return self.fields if obtained is None else obtained.latest(self.fields)

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields that the store has."""
        assert self._of is not None, "it was looked at"
        return self._of.fields

    def look(self, kept: KeptSecret, early: float) -> None:
        """Take what the store keeps, and the token that belongs to it."""
        secret = kept.secret
        assert secret is not None, "a store that has none raises"
        self._kept = kept
        self._of, before = secret, self._of
        obtained = self.unfinished
        if obtained is not None:
            token = obtained.token, float(obtained.expires_at)
        else:
            token = secret.fields.get(TOKEN, ""), seconds_of(secret.fields, EXPIRES)
        if token != self.token:
            self._begin(token, early)
        if secret is not before or self._made.fields.get(TOKEN, "") != token[0]:
            self._make(secret, token[0])

    def _begin(self, token: tuple[str, float], early: float) -> None:
        """Note when a token ends, by the clock that nobody sets."""
        self.token = token
        left = min(token[1] - time.time(), MOST_SECONDS) if token[0] else -math.inf
        self.ends = monotonic() + left
        self.soon = self.ends - min(early, left / 2) if left > 0 else -math.inf

    def _make(self, secret: Secret, token: str) -> None:
        """Make the secret that is sent, unless it would be the same: a claim is nothing new to send.

        A refresh token is for the server that gave it, and is put nowhere.
        """
        fields: Mapping[str, str]
        if isinstance(secret.fields, dict):
            fields = {k: v for k, v in secret.fields.items() if k not in _NOT_SENT}
            fields = {**fields, TOKEN: token}
            same = fields == self._made.fields
        else:
            fields, same = ChainMap({**_NONE_SENT, TOKEN: token}, secret.fields), False  # type: ignore[arg-type]
        if not same:
            self._made = Secret(fields, secret.version)

    def good(self, now: float) -> bool:
        """Say whether its token may be sent."""
        return now < self.ends

    def end(self) -> None:
        """Take the token for ended, whatever its time."""
        self.soon = self.ends = -math.inf

    def may_ask_again(self) -> bool:
        """Say whether a refusal by the upstream may lead to an exchange now."""
        now = monotonic()
        if self.again_at > now + (AGAIN_BURST - 1) * AGAIN_PERIOD:
            return False
        self.again_at = max(self.again_at, now) + AGAIN_PERIOD
        return True
