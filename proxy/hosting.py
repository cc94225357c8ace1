"""A gateway as a process: binds, serves, listens to signals, drains and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from proxy.admin.effective import Over
from proxy.admin.exposed import public_pages
from proxy.admin.listener import start_admin
from proxy.admin.pages import Pages
from proxy.config.diagnostics import count
from proxy.config.models import Address, Config, Log
from proxy.control import QUESTIONS, bind_control, start_control
from proxy.errors import ConfigError
from proxy.plugin.catalog import Catalog
from proxy.revisions.accepted import Revisions
from proxy.revisions.start import Instead, building
from proxy.runtime.crew import Crew
from proxy.runtime.engine import Engine
from proxy.runtime.gateway import Gateway
from proxy.runtime.reload import Adjust, Reloader
from proxy.server.listener import Listener, bind, bind_group
from proxy.server.server import GatewayServer
from proxy.tasks import Tasks
from proxy.watch import Watch, Watched

log = logging.getLogger("brain")

REMEDIES = {
    "listen": "give another address with --listen HOST:PORT or BRAIN_LISTEN",
    "admin": "give another address with --admin HOST:PORT or BRAIN_ADMIN",
}


class Host:
    """The gateway's process, with its workers where the file says so.

    `start` serves, `wait` lasts until a signal, `stop` drains.
    """

    def __init__(
        self,
        config: Config,
        files: Sequence[str],
        environment: Mapping[str, str],
        catalog: Catalog,
        adjust: Adjust,
        *,
        watch: bool,
        probe: bool = True,
        logs: Callable[[Log], None] | None = None,
        since: float | None = None,
        remedies: Mapping[str, str] = REMEDIES,
        over: Over = MappingProxyType({}),
        instead: Instead | None = None,
    ) -> None:
        """`probe`: connect to upstreams before a request does, for /ready to tell which are down.

        `logs` is called with the log settings of each configuration that comes into force. `since`
        is when the files began to be read (wall clock), None for now. `remedies` say what to do
        when the address of `listen` or `admin` can't be had. `over` is what `adjust` puts over the
        file, for /config. `instead`: `config` is of a kept revision, since the files were refused.
        """
        self.config = config
        self.crew = self._crew(catalog, probe, logs)
        self.reloader = Reloader(self.crew, files, environment, adjust)
        self.revisions = Revisions(
            self.crew.ledger,
            lambda: self.crew.config,
            self.reloader,
            config.gateway.state_dir,
            instead,
        )
        self.pages = Pages(self.crew, over)
        self._files = tuple(files)
        self._since = time.time() if since is None else since
        self._remedies = remedies
        self._watch = watch
        self._tasks = Tasks()
        self._ended = asyncio.Event()
        self._hurried = asyncio.Event()
        self._closers: list[Callable[[], object]] = []
        self._patient = True
        self.public_url = ""
        self.public_port = 0
        self.admin_port = 0

    def _crew(self, catalog: Catalog, probe: bool, logs: Callable[[Log], None] | None) -> Crew:
        if self.config.gateway.workers > 1:
            from proxy.workers.team import Team  # one process pays nothing for it

            return Team(self.config, lambda: self.pages.by_name, probe=probe, follow=logs)
        engine = Engine(self.config, catalog, QUESTIONS, probe=probe, follow=logs)
        engine.gateway.public_pages = lambda config: public_pages(
            self.pages.by_name, config.gateway
        )
        return engine

    @property
    def _engine(self) -> Engine:
        assert isinstance(self.crew, Engine), "the workers have it"
        return self.crew

    @property
    def gateway(self) -> Gateway:
        """What serves in this process, where there are no workers."""
        return self._engine.gateway

    @property
    def server(self) -> GatewayServer:
        """The server of this process, where there are no workers."""
        return self._engine.server

    @property
    def listener(self) -> Listener:
        """The public listener of this process, where there are no workers."""
        return self._engine.listener

    async def start(self) -> None:
        """Bind everything, then serve. Raises ConfigError, with nothing left bound."""
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise

    async def _start(self) -> None:
        settings = self.config.gateway
        await self.revisions.open()
        self._closers.append(self.revisions.close)
        sockets = await self._bind_public()
        port = int(sockets[0].getsockname()[1])
        scheme = "http" if settings.tls is None else "https"
        self.public_url = f"{scheme}://{replace(settings.listen, port=port)}"
        self.public_port = port
        await self._start_admin()
        with building():
            await self.crew.start(sockets)
        await self._start_control()
        await self.crew.accept()
        await self.revisions.begin()
        if self._watch:
            self._tasks.spawn(self._make_watch().run(), name="watch")
        log.info("%s", self._started())

    async def _bind_public(self) -> Sequence[socket.socket]:
        settings = self.config.gateway
        sockets = await self._bind(settings.listen, "listen", settings.workers)
        self._closers.extend(sock.close for sock in sockets)
        return sockets

    async def _bind(self, address: Address, key: str, count: int = 1) -> Sequence[socket.socket]:
        try:
            if count > 1:
                return await asyncio.to_thread(bind_group, address, f"gateway.{key}", count)
            return [await asyncio.to_thread(bind, address, f"gateway.{key}")]
        except ConfigError as error:
            raise ConfigError(str(error), hint=error.hint or self._remedies[key]) from None

    def _make_watch(self) -> Watch:
        watch = Watch(
            self._watched,
            lambda cause: self.revisions.changed(cause, watch.differing),
            self._since,
        )
        self.reloader.look = watch.look
        return watch

    def _watched(self) -> Watched:
        config, reloader = self.crew.config, self.reloader
        return Watched(
            (*config.watched, *reloader.tried),
            (*config.watched_folders, *reloader.tried_folders),
        )

    def _started(self) -> str:
        """Return where everything is, in one line."""
        facts, control = self._facts(), self.config.gateway.control
        return (
            f"serving on {facts['listen']}, admin {facts['admin'] or 'off'}, control {control}: "
            f"{count(len(self.config.services), 'service')} of {', '.join(self._files)}, "
            f"revision {self.config.revision[:12]}"
        )

    def _facts(self) -> dict[str, object]:
        """Return what is settled at the start, for `brain status`."""
        admin = self.config.gateway.admin
        return {
            "pid": os.getpid(),
            "files": list(self._files),
            "listen": self.public_url,
            "admin": admin and f"http://{replace(admin, port=self.admin_port)}",
            "control": self.config.gateway.control,
        }

    async def _start_admin(self) -> None:
        address = self.config.gateway.admin
        if address is not None:
            (sock,) = await self._bind(address, "admin")
            self.admin_port = int(sock.getsockname()[1])
            self._closers.append(sock.close)
            runner = await start_admin(self.pages, sock, address.host)
            self._closers.append(runner.cleanup)

    async def _start_control(self) -> None:
        path = self.config.gateway.control
        if path is not None:
            sock = await asyncio.to_thread(bind_control, path)
            runner = await start_control(
                self.crew, self.reloader, self.revisions, sock, self._facts()
            )
            self._closers.append(runner.cleanup)
            self._closers.append(lambda: asyncio.to_thread(_unlink, path))

    @property
    def authority(self) -> str:
        """Host and port by which this machine reaches the public listener."""
        listen = self.config.gateway.listen
        host = "127.0.0.1" if listen.host in ("0.0.0.0", "::") else listen.host  # noqa: S104
        return str(replace(listen, host=host, port=self.public_port))

    # -- signals

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT end `wait`, SIGINT without the grace; SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._asked_to_end)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(
            signal.SIGHUP,
            lambda: self._tasks.spawn(self.reloader.reload("SIGHUP"), name="reload"),
        )

    def _interrupted(self) -> None:
        # Ctrl-C: whoever sits before the gateway is no balancer that has to learn of its end.
        self._patient = self._patient and self._ended.is_set()
        self._asked_to_end()

    def _asked_to_end(self) -> None:
        if self._ended.is_set():
            log.warning("asked twice to end: cutting what is left")
            self._hurried.set()
            self.crew.cut()
        self._ended.set()

    async def wait(self) -> None:
        """Wait for SIGTERM or SIGINT."""
        await self._ended.wait()

    # -- end

    async def stop(self) -> None:
        """Drain: /ready says 503, then no more connections, then what is in flight ends, or is cut."""
        shutdown = self.crew.config.gateway.shutdown
        self.crew.ledger.draining = True
        grace = shutdown.grace if self._patient else 0.0
        log.info("draining: %g s of grace, then at most %g s", grace, shutdown.drain)
        if not self._patient and (left := await self.crew.in_flight()):
            log.info("%s in flight: press Ctrl-C again to end now", count(left, "request"))
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._hurried.wait()
        await self.crew.drain(shutdown.drain)
        await self._close()
        log.info("ended")

    async def _close(self) -> None:
        await self._tasks.cancel()
        await self.crew.close()
        for closer in reversed(self._closers):
            result = closer()
            if asyncio.iscoroutine(result):
                await result


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)
