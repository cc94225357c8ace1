"""One worker as its parent sees it: a socket, and the process that serves it now."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from typing import Any

from proxy.errors import ConfigError
from proxy.output import WORKER
from proxy.runtime.loading import ending, environment_of_child
from proxy.tasks import Tasks
from proxy.workers.channel import Channel, Gone, Handler

END_WITHIN = 5.0
"""Seconds that a process has to end in whose channel is closed."""

WorkerProcess = tuple[int, int]
"""A worker's index, and the how manyth of its processes."""

STARTING, SERVING, DEAD = "starting", "serving", "dead"


class Worker:
    """`index` is its place in the group of sockets; one process follows another in it.

    The parent keeps `sock` open and never accepts on it: what the kernel has queued there when the
    process is killed waits for the next one.
    """

    def __init__(self, index: int, sock: socket.socket) -> None:
        self.index = index
        self.sock = sock
        self.state = DEAD
        self.starts = 0
        self.began = 0.0
        self.why: str | None = None
        self._tasks = Tasks()
        self._process: Process | None = None
        self._channel: Channel | None = None
        self._end: asyncio.Task[str] | None = None

    def __repr__(self) -> str:
        return f"<Worker {self.index} {self.state} pid={self.pid} starts={self.starts}>"

    @property
    def pid(self) -> int | None:
        """Its process's, None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def process(self) -> WorkerProcess:
        """The process that it has now, or had last."""
        return self.index, self.starts

    @property
    def restarts(self) -> int:
        """How many processes have followed the first."""
        return max(self.starts - 1, 0)

    async def launch(self, handlers: Mapping[str, Handler]) -> None:
        """Start a process, which then waits for what it is asked. `handlers` answer what it asks.

        Raises ConfigError where the system has no room for it.
        """
        self.state, self.began = STARTING, time.time()
        self.starts += 1
        try:
            self._process, channel = await self._spawn()
        except OSError as error:
            self.state, self.why = DEAD, error.strerror
            raise ConfigError(f"worker {self.index} can't start: {error.strerror}") from None
        self._channel = await Channel.over(channel, handlers)
        running = self._tasks.spawn(self._channel.run(), name=f"worker {self.index}: channel")
        self._end = self._tasks.spawn(
            self._until_end(self._process, self._channel, running),
            name=f"worker {self.index}: end",
        )

    async def _spawn(self) -> tuple[Process, socket.socket]:
        """Return the process, and our end of the channel to it."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                return await self._execute((theirs.fileno(), self.sock.fileno())), ours
        except BaseException:
            ours.close()
            raise

    async def _execute(self, descriptors: tuple[int, ...]) -> Process:
        # Not forked: libraries with threads of their own refuse that. -P: a folder `plugins` where the
        # gateway was started is nobody's plugins. A session of its own: Ctrl-C is the parent's to tell.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "proxy.workers.process"),
            *map(str, (self.index, *descriptors)),
            stdin=DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
            env={**environment_of_child(), WORKER: str(self.index)},
        )

    async def _until_end(
        self, process: Process, channel: Channel, running: asyncio.Task[None]
    ) -> str:
        ended = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait((ended, running), return_when=asyncio.FIRST_COMPLETED)
            self.state = DEAD
            async with asyncio.timeout(END_WITHIN):
                code = await asyncio.shield(ended)
        except TimeoutError:
            process.kill()
            code = await ended
        finally:
            self.state = DEAD
            channel.close()
            if not ended.done():
                ended.cancel()
        self.why = ending(code)
        return self.why

    async def end(self) -> str:
        """Wait for the end of the process and say how it ended."""
        return "it never began" if self._end is None else await asyncio.shield(self._end)

    async def ask(self, question: str, *arguments: Any, within: float) -> Any:
        """Return what the process answers.

        Raises ConfigError as it did there, and where the process ends, or takes longer.
        """
        if self._channel is None:
            raise ConfigError(f"worker {self.index} does not run")
        try:
            return await self._channel.ask(question, *arguments, within=within)
        except Gone:
            how = await self.end()
            raise ConfigError(f"worker {self.index} died over '{question}': {how}") from None
        except TimeoutError:
            raise ConfigError(
                f"worker {self.index} took longer than {within:g} s over '{question}'"
            ) from None

    def kill(self) -> None:
        """End the process at once, if there is one."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        """Have the process end, at once where it has drained, and release everything."""
        if self._channel is not None:
            self._channel.close()
            await self.end()
            await self._channel.ended()
        await self._tasks.cancel()
