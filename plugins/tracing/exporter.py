"""Records on their way from the loop to the collector: in batches, and never more than a bound."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from plugins.tracing.record import Record
from plugins.tracing.sender import Collector, Counter, Sender

BOUND = 8192
"""Spans that may wait: about 6 MB. More are dropped and counted."""

PAUSE = 0.5
"""Seconds that a record may wait for others, and so the most that a trace comes late."""

BATCH = 512
"""Spans after which a batch is handed over at once."""

_FLUSH = 2.0
"""Seconds that closing waits for the collector: one that hangs must not hold up a shutdown."""


class Exporter:
    """One collector, shared by all instances of the plugin that export to it, over reloads too.

    `add` is called on the loop and never blocks: a thread makes spans, encodes and sends them. What
    can't be kept is dropped, counted, and said in the gateway's own log when that begins.
    """

    def __init__(
        self,
        make: Callable[[], Collector],
        dropped: Counter,
        logger: logging.Logger,
        bound: int = BOUND,
    ) -> None:
        self._sender = Sender(make, dropped, logger)
        self._dropped = dropped
        self._logger = logger
        self._bound = bound
        self._batch: list[Record] = []
        self._size = 0
        self._queued = 0
        self._full = False
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Load the libraries and start the thread, once. Raises ImportError where they are absent."""
        await asyncio.to_thread(self._sender.start)

    def add(self, record: Record) -> None:
        """Take what the spans of one exchange are made of."""
        size = 1 + len(record.attempts)
        if self._queued - self._sender.done + size > self._bound:
            self._drop(size)
            return
        self._full = False
        self._queued += size
        self._size += size
        self._batch.append(record)
        if self._size >= BATCH:
            self._hand_over()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._hand_over)

    async def flush(self) -> None:
        """Wait until what was taken is sent, at most 2 s."""
        self._hand_over()
        if self._sender.started:
            sent: Future[None] = Future()
            self._sender.put(partial(_tell, sent))
            waiter = asyncio.wrap_future(sent)
            await asyncio.wait([waiter], timeout=_FLUSH)
            waiter.cancel()  # the thread must not speak to a loop that may be closed by then

    def close(self) -> None:
        """Let the thread end, without what it can't send now. Nothing is waited for: `flush` has."""
        self._hand_over()
        self._sender.stop()

    def _drop(self, size: int) -> None:
        self._dropped.inc(size)
        if not self._full:
            self._full = True
            self._logger.warning(
                "%d spans wait to be exported: further ones are dropped, and counted", self._bound
            )

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch:
            self._sender.put(self._batch)
            self._batch, self._size = [], 0


def _tell(waiting: Future[None]) -> None:
    if waiting.set_running_or_notify_cancel():
        waiting.set_result(None)
