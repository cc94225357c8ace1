"""What may be used once, remembered until nobody could use it any more."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from proxy.errors import Unavailable

if TYPE_CHECKING:
    from proxy.ports.stores import Store

MOST = 100_000
"""What one process remembers at once: about 16 MB when it is full."""


class OnceHere:
    """The list of one process (`proxy.ports.stores.Once`).

    A full list forgets nothing before its time: what it can't remember is refused, since a caller
    could else push out what it wants to use again.
    """

    def __init__(self, most: int = MOST, now: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._now = now
        self._used: dict[bytes, int] = {}
        # What ends within one second is dropped together; the heap has each such second once.
        self._ending: dict[int, list[bytes]] = {}
        self._seconds: list[int] = []
        self._noted = 0

    def __len__(self) -> int:
        return len(self._used)

    async def first(self, key: str | bytes, seconds: float) -> bool:
        """Say whether `key` is used for the first time; it is remembered up to a second longer."""
        now = self._now()
        self._forget(now)
        digest = digest_of(key)
        if digest in self._used:
            return False
        # What is forgotten and used again is noted each time: that has a bound too.
        if len(self._used) >= self._most or self._noted >= 2 * self._most:
            raise Unavailable(
                f"{self._most} used ones are remembered, no more can be", code="store_unavailable"
            )
        end = self._used[digest] = math.ceil(now + seconds)
        self._note(end, digest)
        return True

    async def forget(self, key: str | bytes) -> None:
        """Let `key` be used again."""
        self._used.pop(digest_of(key), None)

    def _note(self, end: int, digest: bytes) -> None:
        ending = self._ending.get(end)
        if ending is None:
            ending = self._ending[end] = []
            heapq.heappush(self._seconds, end)
        ending.append(digest)
        self._noted += 1

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0] <= now:
            end = heapq.heappop(self._seconds)
            ended = self._ending.pop(end)
            self._noted -= len(ended)
            for digest in ended:
                # One that was forgotten and used again ends later.
                if self._used.get(digest) == end:
                    del self._used[digest]


class OnceShared:
    """A list that all gateways share (`proxy.ports.stores.Once`); `name` keeps it from others."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._prefix = f"brain:once:{name}:"

    async def first(self, key: str | bytes, seconds: float) -> bool:
        """Say whether `key` is used for the first time, in one round trip."""
        return await self._store.once(self._name(key), seconds)

    async def forget(self, key: str | bytes) -> None:
        """Let `key` be used again, in one round trip."""
        await self._store.run(_FORGET, [self._name(key)], [])

    def _name(self, key: str | bytes) -> str:
        return self._prefix + digest_of(key).hex()


_FORGET = "return redis.call('DEL', KEYS[1])"


def digest_of(key: str | bytes) -> bytes:
    """Return 16 bytes for `key`: neither a long key nor a credential is kept as it is."""
    given = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    return hashlib.blake2b(given, digest_size=16).digest()
