"""Lines on their way from the loop to the writer: in batches, and never more than a bound."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from typing import Protocol

from plugins.access_log.writer import Batch, Writer

BOUND = 4 * 1024 * 1024
"""Bytes that may wait to be written: about 10,000 lines. More are dropped and counted."""

PAUSE = 0.1
"""Seconds that a line may wait for others: ten writes a second, however many lines."""

_FLUSH = 2.0
"""Seconds that closing waits for the writer: a disk that hangs must not hold up a shutdown."""


class Count(Protocol):
    """Where drops are counted: a prometheus-client counter."""

    def inc(self, amount: float = 1) -> None: ...


class Sink:
    """One file, shared by all instances of the plugin that write to it, over reloads too.

    `write` is called on the loop and never blocks. What can't be kept is dropped, counted, and said
    in the gateway's own log when a drop begins and when it is over.
    """

    def __init__(
        self, path: str, dropped: Count, logger: logging.Logger, bound: int = BOUND
    ) -> None:
        self._path = path
        self._writer = Writer(path)
        self._dropped = dropped
        self._logger = logger
        self._bound = bound
        self._batch: Batch = []
        self._queued = 0
        self._refused = 0
        self._counted = 0
        self._before: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open the file, once. Raises OSError when it can't be written."""
        await asyncio.to_thread(self._writer.start)

    def write(self, line: bytes) -> None:
        """Take one line, its newline included."""
        size = len(line)
        if self._queued - self._writer.done + size > self._bound:
            self._refused += 1
        else:
            self._queued += size
            self._batch.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._hand_over)

    async def flush(self) -> None:
        """Wait until what was taken is written, at most 2 s."""
        self._hand_over()
        if self._writer.started:
            written: Future[None] = Future()
            self._writer.put(lambda: written.set_result(None))
            await asyncio.wait([asyncio.wrap_future(written)], timeout=_FLUSH)
            self._tell()

    def close(self) -> None:
        """Let the writer finish and end. Nothing is waited for: `flush` has."""
        self._hand_over()
        self._writer.put(None)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch:
            self._writer.put(self._batch)
            self._batch = []
        self._tell()

    def _tell(self) -> None:
        """Count new drops, and say when they begin and when they have ended."""
        lost = self._refused + self._writer.lost
        new, self._counted = lost - self._counted, lost
        if new:
            self._dropped.inc(new)
            self._say_begin(lost - new)
        elif self._before is not None:
            self._logger.warning(
                "access log %s is written again, %d lines were dropped",
                self._path,
                lost - self._before,
            )
            self._before = None

    def _say_begin(self, before: int) -> None:
        if self._before is None:
            self._before = before
            reason = self._writer.error or "it is written too slowly"
            self._logger.warning("access log %s drops lines: %s", self._path, reason)
