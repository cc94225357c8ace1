"""A gateway as a process: binds, serves, listens to signals, drains and ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from proxy.admin.exposed import public_pages
from proxy.admin.listener import start_admin
from proxy.admin.pages import Pages
from proxy.config.models import Config, Log
from proxy.control import bind_control, start_control
from proxy.errors import ConfigError
from proxy.plugin.catalog import Catalog
from proxy.runtime.gateway import Gateway
from proxy.runtime.probing import keep_probing
from proxy.runtime.reload import Adjust, Reloader
from proxy.server.listener import Listener, bind, server_context
from proxy.server.server import GatewayServer
from proxy.tasks import Tasks
from proxy.watch import Watch

log = logging.getLogger("brain")


class Host:
    """One gateway process. `start` serves, `wait` lasts until a signal, `stop` drains."""

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
    ) -> None:
        """`probe`: connect to upstreams before a request does, for /ready to tell which are down.

        `logs` is called with the log settings of each configuration that comes into force.
        """
        self.config = config
        self.gateway = Gateway(catalog)
        self.reloader = Reloader(self.gateway, files, environment, adjust)
        self.reloader.prepare = self._prepare
        self.pages = Pages(self.gateway)
        self.gateway.public_pages = lambda config: public_pages(self.pages, config.gateway)
        self._logs = logs
        self._watch = watch
        self._probe = probe
        self._tasks = Tasks()
        self._ended = asyncio.Event()
        self._hurried = asyncio.Event()
        self._closers: list[Callable[[], object]] = []
        self.listener: Listener
        self.admin_port = 0

    async def start(self) -> None:
        """Bind everything, then serve. Raises ConfigError, with nothing left bound."""
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise

    async def _start(self) -> None:
        settings = self.config.gateway
        sock = await asyncio.to_thread(bind, settings.listen, "gateway.listen")
        self._closers.append(sock.close)
        tls = None if settings.tls is None else server_context(settings.tls)
        await self._start_admin()
        await self.gateway.apply(self.config)
        self.server = self.gateway.server = GatewayServer(
            self.gateway,
            settings.limits,
            settings.timeouts,
            self.gateway.snapshot.trusted.__contains__,
        )
        await self._start_control()
        self.listener = Listener(self.server, sock, tls)
        await self.listener.start()
        if self._probe:
            self._tasks.spawn(keep_probing(lambda: self.gateway.snapshot), name="probing")
        if self._watch:
            watch = Watch(lambda: self.gateway.snapshot.config.watched, self.reloader.reload)
            self._tasks.spawn(watch.run(), name="watch")
        scheme = "https" if tls else "http"
        log.info(
            "serving on %s://%s, revision %s",
            scheme,
            replace(settings.listen, port=self.listener.port),
            self.config.revision[:12],
        )

    async def _start_admin(self) -> None:
        address = self.config.gateway.admin
        if address is not None:
            sock = await asyncio.to_thread(bind, address, "gateway.admin")
            self.admin_port = int(sock.getsockname()[1])
            self._closers.append(sock.close)
            runner = await start_admin(self.pages, sock, address.host)
            self._closers.append(runner.cleanup)

    async def _start_control(self) -> None:
        path = self.config.gateway.control
        if path is not None:
            sock = await asyncio.to_thread(bind_control, path)
            runner = await start_control(self.gateway, self.reloader, sock)
            self._closers.append(runner.cleanup)
            self._closers.append(lambda: asyncio.to_thread(_unlink, path))

    def _prepare(self, config: Config) -> Callable[[], None]:
        """Check what the listener needs of a new configuration, and return what puts it in force.

        Raises ConfigError.
        """
        tls = config.gateway.tls
        if (tls is not None) != self.listener.secure:
            raise ConfigError(
                "gateway.tls can't come or go while running", hint="restart the gateway"
            )
        context = None if tls is None else server_context(tls)

        def commit() -> None:
            if context is not None:
                self.listener.renew(context)
            if self._logs is not None:
                self._logs(config.log)

        return commit

    @property
    def authority(self) -> str:
        """Host and port by which this machine reaches the public listener."""
        listen = self.config.gateway.listen
        host = "127.0.0.1" if listen.host in ("0.0.0.0", "::") else listen.host  # noqa: S104
        return str(replace(listen, host=host, port=self.listener.port))

    # -- signals

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT end `wait`, SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_end)
        loop.add_signal_handler(
            signal.SIGHUP,
            lambda: self._tasks.spawn(self.reloader.reload("SIGHUP"), name="reload"),
        )

    def _asked_to_end(self) -> None:
        if self._ended.is_set():
            log.warning("asked twice to end: cutting what is left")
            self._hurried.set()
            self.server.abort()
        self._ended.set()

    async def wait(self) -> None:
        """Wait for SIGTERM or SIGINT."""
        await self._ended.wait()

    # -- end

    async def stop(self) -> None:
        """Drain: /ready says 503, then no more connections, then what is in flight ends, or is cut."""
        shutdown = self.gateway.snapshot.config.gateway.shutdown
        self.gateway.draining = True
        log.info("draining: %g s of grace, then at most %g s", shutdown.grace, shutdown.drain)
        with suppress(TimeoutError):
            async with asyncio.timeout(shutdown.grace):
                await self._hurried.wait()
        self.server.announce_end()
        await self.listener.stop()
        # What was just taken from the kernel's queue has not been read yet.
        await asyncio.sleep(0.01)
        self.server.drain()
        deadline = asyncio.get_running_loop().time() + shutdown.drain
        while self.server.open_connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  once in a process's life
            await asyncio.sleep(0.02)
        if self.server.open_connections:
            log.warning("cutting %d connections", self.server.open_connections)
            self.server.abort()
            await asyncio.sleep(0.05)
        await self._close()
        log.info("ended")

    async def _close(self) -> None:
        await self._tasks.cancel()
        await self.gateway.close()
        for closer in reversed(self._closers):
            result = closer()
            if asyncio.iscoroutine(result):
                await result


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def run_loop(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine function on uvloop, or on asyncio's loop where there is none (Windows)."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop
