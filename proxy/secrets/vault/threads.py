"""Threads that calls may block, and never more of them than there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class TooLate(Exception):
    """The work did not end in time. Its thread is kept until it does."""


class Busy(Exception):
    """No thread was to be had: the work was not begun."""


class Lane:
    """`size` threads of an executor. A call that is given up keeps its thread until it ends."""

    def __init__(self, executor: ThreadPoolExecutor, size: int) -> None:
        self._executor = executor
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._lost: set[asyncio.Future[None]] = set()

    async def run(self, work: Callable[[], T], within: float) -> T:
        """Return what `work`, which raises nothing, returns in a thread.

        Raises TooLate or Busy after `within` seconds; Busy at once where calls that were given up
        keep all threads.
        """
        if len(self._lost) >= self._size:
            raise Busy
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        try:
            async with asyncio.timeout(within):
                await self._free.acquire()
        except TimeoutError:
            raise Busy from None
        ended = loop.create_future()
        running = self._executor.submit(work)
        running.add_done_callback(lambda _: self._tell(loop, ended))
        try:
            await asyncio.wait({ended}, timeout=deadline - loop.time())
        finally:
            if not ended.done():
                self._lost.add(ended)
        if not ended.done():
            raise TooLate
        return running.result()

    def _tell(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
        with suppress(RuntimeError):  # the loop has ended before this thread
            loop.call_soon_threadsafe(self._end, ended)

    def _end(self, ended: asyncio.Future[None]) -> None:
        self._lost.discard(ended)
        self._free.release()
        ended.set_result(None)
