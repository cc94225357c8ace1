"""Background tasks that nobody forgets: held, named, cancelled together, their deaths told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("brain.tasks")


class Tasks:
    """A set of running tasks. asyncio keeps only weak references to tasks; this keeps them alive."""

    def __init__(self, on_death: Callable[[str, BaseException], None] | None = None) -> None:
        """`on_death(name, error)` is called, after it was logged, for a task that raised."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_death = on_death

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(
        self, coroutine: Coroutine[Any, Any, Any], *, name: str, quiet: bool = False
    ) -> asyncio.Task[Any]:
        """Run `coroutine` as a task of this set. A `quiet` one's error is for whoever awaits it."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard if quiet else self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("task %s died: %s", task.get_name(), error, exc_info=error)
            if self._on_death is not None:
                self._on_death(task.get_name(), error)

    async def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the tasks to end by themselves."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    def stop(self) -> None:
        """Cancel all tasks, whose ends nobody waits for."""
        for task in self._tasks:
            task.cancel()

    def forget(self) -> None:
        """Call nobody any more: what was told of deaths often holds this, and would be held by it."""
        self._on_death = None

    async def cancel(self) -> None:
        """Cancel all tasks and wait for their ends."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
