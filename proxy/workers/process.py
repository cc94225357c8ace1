"""What a worker is: `python -m proxy.workers.process INDEX CHANNEL SOCKET`, started by its parent.

It does what its parent asks and nothing by itself: no file, no signal, no control socket. When the
parent is gone it drains and ends.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

from proxy.admin.exposed import public_pages
from proxy.admin.pages import HEALTHY, Page, Show, json_page
from proxy.config.models import Log
from proxy.control import QUESTIONS
from proxy.errors import ConfigError
from proxy.logs import Logs
from proxy.plugin.catalog import Catalog
from proxy.runtime.crew import Asked
from proxy.runtime.engine import Engine
from proxy.runtime.loop import run_loop
from proxy.runtime.packing import Packed, pickled, unpack
from proxy.runtime.reload import bug_behind
from proxy.runtime.slices import collector_paused
from proxy.workers.channel import Channel, Gone, Handler

log = logging.getLogger("brain.workers")

PAGE_WITHIN = 10.0
"""Seconds that the parent has for a page which is exposed: it asks all workers for some."""


class Process:
    """Answers the parent's questions, each a method here."""

    def __init__(self, sock: socket.socket, logs: Logs) -> None:
        self._sock = sock
        self._logs = logs
        self._engine: Engine | None = None
        self._draining: asyncio.Future[None] | None = None
        # One step after the other, in the order in which they were asked for.
        self._step = asyncio.Lock()
        self.channel: Channel

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What the parent may ask."""
        steps = (self.start, self.accept, self.prepare, self.commit, self.abort)
        looks = (self.notes, self.ask, self.checks, self.metrics, self.private)
        return {each.__name__: each for each in (*steps, *looks, self.drain, self.cut)}

    @property
    def engine(self) -> Engine:
        """What serves. Raises ConfigError before `start`."""
        if self._engine is None:
            raise ConfigError("nothing is loaded yet")
        return self._engine

    # -- steps

    async def start(self, packed: Packed, probe: bool) -> None:
        """Load. Raises ConfigError."""
        async with self._step:
            with collector_paused():
                config = await unpack(packed)
                self._follow(config.log)
                engine = self._engine = Engine(
                    config, Catalog(), QUESTIONS, probe=probe, follow=self._follow
                )
                engine.gateway.public_pages = lambda config: public_pages(
                    self._pages(), config.gateway
                )
                await engine.start([self._sock])

    async def accept(self) -> None:
        """Serve."""
        async with self._step:
            await self.engine.accept()

    async def prepare(self, packed: Packed) -> None:
        """Build aside. Raises ConfigError, whose plugin's traceback is told here."""
        async with self._step:
            try:
                with collector_paused():
                    await self.engine.prepare(await unpack(packed))
            except ConfigError as error:
                if (bug := bug_behind(error)) is not None:
                    log.error("refused here: %s", error, exc_info=bug)  # noqa: TRY400  the bug's
                raise

    async def commit(self) -> None:
        """Swap."""
        async with self._step:
            await self.engine.commit()

    async def abort(self) -> None:
        """Take back what was prepared."""
        async with self._step:
            await self.engine.abort()

    async def drain(self, within: float) -> None:
        """Drain; afterwards nothing is left but to end."""
        if self._draining is None:
            async with self._step:
                self._draining = asyncio.ensure_future(self.engine.drain(within))
        await asyncio.shield(self._draining)

    async def cut(self) -> None:
        """Break every connection that is left."""
        self.engine.cut()

    # -- looks

    async def notes(self) -> list[str]:
        """Return the plugins whose source has changed."""
        return list(await self.engine.notes())

    async def ask(self, question: str, asked: Asked) -> tuple[int, Any]:
        """Answer a question of the control socket."""
        (answered,) = await self.engine.ask(question, asked)
        return answered.status, answered.body

    async def checks(self) -> dict[str, str]:
        """Return what is not well here."""
        return await self.engine.checks()

    async def metrics(self) -> bytes:
        """Return the pickled families of what is counted here."""
        registry = self.engine.gateway.shared
        return await asyncio.to_thread(lambda: pickled(registry.metrics.families()))

    async def private(self) -> frozenset[str]:
        """Return the texts that nobody is shown."""
        return await self.engine.private()

    # -- pages and logs

    def _pages(self) -> Mapping[str, Show]:
        """The pages that are exposed here are those of the whole gateway: the parent has them."""
        return {"health": _health, "ready": self._shown("ready"), "metrics": self._shown("metrics")}

    def _shown(self, name: str) -> Show:
        async def show(accept: str) -> Page:
            try:
                page: Page = await self.channel.ask("page", name, accept, within=PAGE_WITHIN)
            except (Gone, TimeoutError, ConfigError):
                return json_page(503, {"status": "the gateway's parent process does not answer"})
            return page

        return show

    def _follow(self, settings: Log) -> None:
        self._logs.configure(settings.format, settings.level)

    # -- end

    async def end(self) -> None:
        """End what is left when the parent asks nothing more, because it ended or wants it so."""
        if self._engine is not None:
            if self._draining is None and hasattr(self._engine, "listener"):
                log.warning("the parent process is gone: draining")
                await self.drain(self._engine.config.gateway.shutdown.drain)
            elif self._draining is not None:
                await self._draining
            await self._engine.close()
        await self.channel.ended()


async def _health(_accept: str) -> Page:
    return HEALTHY


async def _serve(channel: int, listening: int, logs: Logs) -> None:
    process = Process(socket.socket(fileno=listening), logs)
    process.channel = await Channel.over(socket.socket(fileno=channel), process.handlers)
    await process.channel.run()
    await process.end()


def main(index: int, channel: int, listening: int) -> None:
    """Serve until the parent closes the channel."""
    # A service manager may tell all processes of a group: the parent decides what that means.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logs = Logs(worker=index)
    logs.configure()
    try:
        run_loop(lambda: _serve(channel, listening, logs))
    finally:
        logs.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
