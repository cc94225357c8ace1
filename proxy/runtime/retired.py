"""Snapshots that were replaced and still have requests: they drain, then they close."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from proxy.runtime.snapshot import Snapshot
from proxy.tasks import Tasks

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange
    from proxy.server.protocol import ClientConnection

log = logging.getLogger("brain.snapshot")

MOST = 8
LONGEST = 3600.0


class Retired:
    """At most `MOST` old snapshots for at most `LONGEST` seconds; then their streams are cut."""

    def __init__(self, tasks: Tasks, left: Callable[[], None]) -> None:
        """`left` is called whenever fewer requests are on old snapshots."""
        self._tasks = tasks
        self._left = left
        self._draining: dict[Snapshot, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._draining)

    @property
    def in_flight(self) -> int:
        """Requests still on old snapshots."""
        return sum(snapshot.in_flight for snapshot in self._draining)

    @property
    def serving(self) -> list[ClientConnection]:
        """The connections whose requests are still on old snapshots."""
        return [connection for snapshot in self._draining for connection in snapshot.serving]

    @property
    def under_way(self) -> list[Exchange]:
        """The exchanges that are still on old snapshots."""
        return [one for snapshot in self._draining for one in snapshot.serving.values()]

    def add(self, snapshot: Snapshot) -> None:
        """Let `snapshot` finish what it has."""
        snapshot.left = self._left
        over = max(len(self._draining) + 1 - MOST, 0)
        for oldest in list(self._draining)[:over]:
            log.warning("more than %d old snapshots: the streams of %s are cut", MOST, oldest)
            oldest.cut()  # its requests end now, and with the last one its drain
        task = self._tasks.spawn(self._drain(snapshot), name=f"drain {snapshot.revision[:12]}")
        self._draining[snapshot] = task

    async def _drain(self, snapshot: Snapshot) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST):
                    await snapshot.quiet()
            snapshot.cut()
        finally:
            self._draining.pop(snapshot, None)
            self._left()
            await snapshot.close()

    async def close(self) -> None:
        """Cut and close all that are left."""
        tasks = list(self._draining.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
