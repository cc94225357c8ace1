"""Keeping a worker alive: started, brought to the configuration in force, replaced when it dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from proxy.config.models import Config
from proxy.errors import ConfigError
from proxy.runtime.packing import Packed
from proxy.workers.channel import Handler
from proxy.workers.worker import SERVING, Worker

log = logging.getLogger("brain.workers")

START_WITHIN = 120.0
"""Seconds for a process to import and load: plugins whose dependencies hang take 20 each."""

PREPARE_WITHIN = 60.0
COMMIT_WITHIN = 10.0

PAUSE_FIRST = 0.5
PAUSE_MOST = 5.0
"""Seconds between two starts: meanwhile the clients in its queue wait, so it is not long."""

LIVED = 60.0
"""Seconds after which a worker's death has nothing to do with its start: the next follows at once."""


class InForce:
    """The configuration that was accepted last: what every process has, and the next begins with."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.packed: Packed = ()


class Keeper:
    """Has a process serve in each worker's place."""

    def __init__(self, in_force: InForce, handlers: Mapping[str, Handler], *, probe: bool) -> None:
        """`handlers` answer what workers ask."""
        self._in_force = in_force
        self._handlers = handlers
        self._probe = probe
        self.ending = False

    async def bring_up(self, worker: Worker) -> None:
        """Start a process and load what is in force. Raises ConfigError."""
        await worker.launch(self._handlers)
        packed = self._in_force.packed
        await worker.ask("start", packed, self._probe, within=START_WITHIN)
        await self.catch_up(worker, packed)

    async def catch_up(self, worker: Worker, has: Packed | None) -> None:
        """Bring a process from what it has to what is in force, which may change meanwhile."""
        while has is not self._in_force.packed:
            has = self._in_force.packed
            await worker.ask("prepare", has, within=PREPARE_WITHIN)
            await worker.ask("commit", within=COMMIT_WITHIN)
        # Nothing may come between the look and this: from now on reloads ask it too.
        worker.state = SERVING

    async def keep(self, worker: Worker) -> None:
        """Replace the worker's process whenever it ends, until cancelled or `ending`."""
        pause = 0.0
        while True:
            how = await worker.end()
            if self._over():
                return
            lived = time.time() - worker.began
            pause = 0.0 if lived > LIVED or not worker.restarts else _longer(pause)
            log.error("worker %d died (%s): %s", worker.index, how, _next(pause))
            await asyncio.sleep(pause)
            if self._over():
                return
            await self._start_again(worker)

    def _over(self) -> bool:
        return self.ending

    async def _start_again(self, worker: Worker) -> None:
        try:
            await self.bring_up(worker)
            await worker.ask("accept", within=COMMIT_WITHIN)
        except ConfigError as error:
            log.error("worker %d can't start: %s", worker.index, error)  # noqa: TRY400  no bug of ours
            worker.kill()
        else:
            log.info("worker %d serves again, pid %d", worker.index, worker.pid)


def _longer(pause: float) -> float:
    return min(pause * 2, PAUSE_MOST) or PAUSE_FIRST


def _next(pause: float) -> str:
    return f"another starts in {pause:g} s" if pause else "another starts"
