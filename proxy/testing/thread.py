"""A thread with an event loop of its own, so that servers run beside any test, async or not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """A thread with an event loop; `run` waits for a coroutine there."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(ready)), name=self._name, daemon=True
        )
        self._thread.start()
        self._loop = ready.result(10)

    async def _main(self, ready: Future[asyncio.AbstractEventLoop]) -> None:
        self._ended = asyncio.Event()
        ready.set_result(asyncio.get_running_loop())
        await self._ended.wait()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        """Run `coroutine` in the loop and return its result. Raises what it raises."""
        assert self._loop is not None, "the thread was not started"
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` in the loop, soon."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """End the loop and wait for the thread."""
        if self._thread is not None:
            self.call(self._ended.set)
            self._thread.join(10)
            self._thread = self._loop = None
