"""The port to what several gateways share: counts, and what was used up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Store(Protocol):
    """A store that all gateways of a site ask: Valkey, or what speaks its protocol.

    Each call is one round trip, bounded in time, and is not tried again. All raise Unavailable,
    `store_unavailable`, for whatever fails, and at once while the store is known to be away.
    """

    @property
    def away(self) -> str | None:
        """Why nothing is asked of it now, without its password; None while it answers."""

    async def run(self, script: str, keys: Sequence[str], args: Sequence[str | int | float]) -> Any:
        """Run a Lua script there and return its result: integers, bytes, lists of them, or None.

        The script is sent by its digest; where the store has not seen it yet, once more as a whole.
        """

    async def once(self, key: str, seconds: float) -> bool:
        """Say whether `key` is used for the first time, and remember it for `seconds`."""


class Once(Protocol):
    """A list of what may be used once: a ticket, the signature of a call."""

    async def first(self, key: str | bytes, seconds: float) -> bool:
        """Say whether `key` is used for the first time, and remember it for `seconds`.

        Raises Unavailable, `store_unavailable`, where that can't be told: refuse then, as for a key
        that was used.
        """

    async def forget(self, key: str | bytes) -> None:
        """Let `key` be used again: what it was used for has come to nothing.

        Raises Unavailable as `first` does; the key then stays used until its time is over.
        """
