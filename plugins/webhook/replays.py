"""Deliveries that got through, which get through once."""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine
from functools import partial
from typing import Any

from proxy import Exchange, GatewayError, Once


class Replays:
    """Refuses what was received already and answered by 2xx, or is under way.

    What was signed is remembered, not the signature: of several that one delivery may bear each is
    good. A delivery that was answered otherwise is forgotten, so that its provider may try again.
    """

    def __init__(self, once: Once) -> None:
        self._once = once

    async def admit(self, exchange: Exchange, content: bytes, seconds: float) -> None:
        """Remember a verified delivery for `seconds`.

        Raises GatewayError `webhook_replayed`, or Unavailable where nobody can tell.
        """
        key = hashlib.sha256(content).digest()
        if not await self._once.first(key, seconds):
            raise GatewayError("webhook_replayed")
        exchange.on_finish(partial(self._finished, key))

    def _finished(self, key: bytes, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        if exchange.error is None and 200 <= exchange.status <= 299:
            return None
        return self._once.forget(key)
