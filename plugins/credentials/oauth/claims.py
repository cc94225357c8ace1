"""Who renews a secret: the one gateway whose claim stands in it, put there by check-and-set.

A refresh token that is sent twice is taken for stolen by servers that rotate them, and ends what the
tenant has granted. So nobody sends one before the store has taken his claim.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from random import uniform
from secrets import token_hex
from time import monotonic

from plugins.credentials.oauth.issuer import EXCHANGE
from plugins.credentials.oauth.obtained import BY, UNTIL, seconds_of
from proxy import KeptStore, Secret, SecretAway, SecretConflict, SecretError

CLAIM = 30.0
"""Seconds that a claim stands: longer than an exchange, so that its holder can write after it."""

WATCHED = 5.0
"""Seconds for which a claim that has run out must not change before another takes it over: where the
store was away, who holds it writes first."""

PATIENCE = 120.0
"""Seconds after which waiting for others is given up."""

_PAUSES = (0.05, 1.0)

Good = Callable[[Mapping[str, str]], bool]


async def read_now(store: KeptStore, path: str) -> Secret:
    """Return what the store has now. Raises SecretError, SecretAway where it can't be asked."""
    kept = await store.refresh(path)
    if kept.secret is None or kept.stale:
        raise SecretAway("the store can't be asked now")
    return kept.secret


class Claims:
    """The claims of one process."""

    def __init__(self, store: KeptStore) -> None:
        self._store = store
        self._me = token_hex(8)

    async def win(self, path: str, good: Good) -> Secret | None:
        """Return the secret with our claim in it; None when it is `good`: another has renewed it.

        Raises SecretError.
        """
        watch, pause, ends = _Watch(self._me), _PAUSES[0], monotonic() + PATIENCE
        while monotonic() < ends:
            secret = await read_now(self._store, path)
            if good(secret.fields):
                return None
            if self._is_ours(secret.fields):
                return secret
            if watch.is_free(secret.fields):
                try:
                    return await self._put(path, secret)
                except SecretConflict:
                    watch = _Watch(self._me)
            await asyncio.sleep(pause * uniform(0.7, 1.0))  # noqa: S311
            pause = min(pause * 1.6, _PAUSES[1])
        raise SecretAway("others renew it again and again, and nothing comes of it")

    def _is_ours(self, fields: Mapping[str, str]) -> bool:
        """Say whether our claim of before stands for long enough."""
        left = seconds_of(fields, UNTIL) - time.time()
        return fields.get(BY) == self._me and left > EXCHANGE + 1

    async def _put(self, path: str, secret: Secret) -> Secret:
        until = str(int(time.time() + CLAIM))
        kept = await self._store.put(path, {**secret.fields, UNTIL: until, BY: self._me}, secret)
        return kept.secret or secret

    async def give_up(self, path: str, claimed: Secret) -> bool:
        """Take our claim back: nothing was renewed. Say whether the secret was ours all the time.

        Where the store is away the claim runs out by itself.
        """
        kept = {name: value for name, value in claimed.fields.items() if name not in (UNTIL, BY)}
        try:
            await self._store.put(path, kept, claimed)
        except SecretConflict:
            return False
        except SecretError:
            return True
        return True


class _Watch:
    """Looks on while another's claim stands. Its clock need not be ours, but for some seconds."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._seen: tuple[str | None, str | None] = (None, None)
        self._since = 0.0

    def is_free(self, fields: Mapping[str, str]) -> bool:
        """Say whether nobody's claim stands any more."""
        if fields.get(BY) in (None, self._me):
            return True
        seen, now = (fields.get(UNTIL), fields.get(BY)), monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        watched = now - self._since
        run_out = seconds_of(fields, UNTIL) < time.time()
        return watched >= (WATCHED if run_out else CLAIM + WATCHED)
