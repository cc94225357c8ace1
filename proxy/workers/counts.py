"""What all workers have counted, those that died included: sums that never fall."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from proxy.runtime.packing import unpickled
from proxy.workers.worker import Worker, WorkerProcess

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Own(NamedTuple):
    """What the parent counts: workers that serve, those that took a dead one's place, reloads.

    `stale`: the files were refused when they were last read.
    """

    serving: int
    restarts: int
    reloads: Mapping[str, int]
    stale: bool


class Counts:
    """Each process's metrics at its last scrape, and those of the dead in one.

    What a worker counted between its last scrape and its death is lost: nobody has seen it.
    """

    def __init__(self) -> None:
        self._last: dict[WorkerProcess, list[Metric]] = {}
        self._dead: list[Metric] = []
        self._lock = asyncio.Lock()

    async def expose(
        self,
        ask: Callable[[], Awaitable[Mapping[Worker, bytes]]],
        alive: Collection[WorkerProcess],
        own: Own,
        accept: str,
    ) -> tuple[bytes, str]:
        """Return the body of a scrape, and its Content-Type.

        `ask` is awaited for what each worker that answers has now; `alive` are all, or were a moment
        ago.
        """
        async with self._lock:
            answers = {one.process: raw for one, raw in (await ask()).items()}
            # Thousands of routes take a while: the loop goes on meanwhile.
            return await asyncio.to_thread(self._exposed, answers, alive, own, accept)

    def _exposed(
        self,
        answers: Mapping[WorkerProcess, bytes],
        alive: Collection[WorkerProcess],
        own: Own,
        accept: str,
    ) -> tuple[bytes, str]:
        from proxy.plugin.metrics import written
        from proxy.workers.merging import counted, known_to, merged, of_parent

        now = {process: unpickled(raw) for process, raw in answers.items()}
        self._bury(process for process in self._last if process not in {*now, *alive})
        silent = [counted(last) for process, last in self._last.items() if process not in now]
        self._last.update(now)
        gone = [family for each in (self._dead, *silent) for family in each]
        if now:
            # A reload may have taken away the plugin that counted it.
            gone = list(known_to(gone, (family for each in now.values() for family in each)))
        parent = of_parent(own.restarts, own.reloads, stale=own.stale)
        return written(merged([*now.values(), gone, parent]), accept)

    def _bury(self, processes: Iterable[WorkerProcess]) -> None:
        """Keep of what died all that it has ever shown and that only grows."""
        from proxy.workers.merging import counted, merged

        last = [counted(self._last.pop(process)) for process in list(processes)]
        if last:
            self._dead = merged([self._dead, *last])
