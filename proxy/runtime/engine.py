"""What serves in this process: gateway, server and listener, and what looks after them."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple

from proxy.config.models import Config, ListenerTls
from proxy.config.private import private_values
from proxy.errors import ConfigError
from proxy.plugin.catalog import Catalog
from proxy.runtime.crew import Answered, Asked, Follow, Question
from proxy.runtime.gateway import Gateway, Prepared
from proxy.runtime.holders import tell_holders
from proxy.runtime.ledger import Ledger
from proxy.runtime.probing import Prober
from proxy.runtime.sources import Sources
from proxy.server.listener import Listener, server_context
from proxy.server.server import GatewayServer
from proxy.tasks import Tasks

log = logging.getLogger("brain")


class _Aside(NamedTuple):
    prepared: Prepared
    tls: ssl.SSLContext | None


class Engine:
    """The crew of one (`proxy.runtime.crew.Crew`)."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        questions: Mapping[str, Question],
        *,
        probe: bool = True,
        follow: Follow | None = None,
    ) -> None:
        """`probe`: connect to upstreams before a request does, for /ready to tell which are down."""
        self.gateway = Gateway(catalog)
        self.server: GatewayServer
        self.listener: Listener
        self._first = config
        self._questions = questions
        self._prober = Prober(lambda: self.gateway.snapshot)
        self._probe = probe
        self._follow = follow
        self._sources = Sources(lambda: self.gateway.catalog)
        self._tasks = Tasks()
        self._aside: _Aside | None = None

    @property
    def ledger(self) -> Ledger:
        return self.gateway

    @property
    def config(self) -> Config:
        return self.gateway.snapshot.config if self.gateway.loaded else self._first

    @property
    def loaded(self) -> bool:
        return self.gateway.loaded

    # -- start

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Load. Raises ConfigError."""
        (sock,) = sockets
        settings = self._first.gateway
        tls = _context(settings.tls)
        await self.gateway.apply(self._first)
        await self._note_sources()
        self.server = self.gateway.server = GatewayServer(
            self.gateway,
            settings.limits_of_one,
            settings.timeouts,
            self.gateway.snapshot.trusted.__contains__,
        )
        self.listener = Listener(self.server, sock, tls)

    async def accept(self) -> None:
        """Serve."""
        await self.listener.start()
        self._tasks.spawn(tell_holders(self.gateway), name="holders")
        if self._probe:
            self._tasks.spawn(self._prober.run(), name="probing")

    async def _note_sources(self) -> None:
        await asyncio.to_thread(self._sources.note, self.config.entries)

    # -- reload

    async def prepare(self, config: Config) -> None:
        """Check what the listener needs of a configuration, and build it aside. Raises ConfigError."""
        tls = config.gateway.tls
        if (tls is not None) != self.listener.secure:
            raise ConfigError(
                "gateway.tls can't come or go while running", hint="restart the gateway"
            )
        context = _context(tls)
        await self.abort()
        self._aside = _Aside(await self.gateway.prepare(config), context)

    async def commit(self) -> None:
        """Swap."""
        aside, self._aside = self._aside, None
        assert aside is not None, "nothing was prepared"
        self.gateway.commit(aside.prepared)
        if aside.tls is not None:
            self.listener.renew(aside.tls)
        if self._follow is not None:
            self._follow(self.config.log)
        await self._note_sources()

    async def abort(self) -> None:
        """Take back what was prepared, if anything was."""
        aside, self._aside = self._aside, None
        if aside is not None:
            await self.gateway.abort(aside.prepared)

    async def notes(self) -> Sequence[str]:
        """Return the plugins in use whose source has changed on disk since it was imported."""
        return await asyncio.to_thread(self._sources.changed, self.config.entries)

    # -- what is shown

    async def ask(self, question: str, asked: Asked) -> list[Answered]:
        """Answer a question of the control socket."""
        answer = self._questions[question](self.gateway, asked)
        return [Answered(0, *(await answer if isinstance(answer, Awaitable) else answer))]

    async def checks(self) -> dict[str, str]:
        """Return the plugins that are not ready, and the upstreams that can't be reached."""
        snapshot = self.gateway.snapshot
        checks = await snapshot.instances.not_ready() | await snapshot.secrets.not_ready()
        for upstream in snapshot.upstreams.values():
            failure = self._prober.failure(upstream)
            if failure is not None:
                checks[f"upstream {upstream.name}"] = failure
        return checks

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the registry in the format that the scraper asks for."""
        # Thousands of routes take a while to write out: the loop goes on meanwhile.
        return await asyncio.to_thread(lambda: self.gateway.shared.metrics.expose(accept))

    async def private(self) -> frozenset[str]:
        """Return the texts in plugins' options that nobody is shown."""
        return await asyncio.to_thread(private_values, self.config, self.gateway.catalog)

    async def in_flight(self) -> int:
        """Return how many requests are under way."""
        return self.gateway.in_flight

    def workers(self) -> list[dict[str, Any]]:
        """Return nothing: whoever asks is who serves."""
        return []

    # -- end

    async def drain(self, within: float) -> None:
        """Accept no more, let what is in flight end, cut what is left after `within` seconds."""
        self.server.announce_end()
        await self.listener.stop()
        # What was just taken from the kernel's queue has not been read yet.
        await asyncio.sleep(0.01)
        self.server.drain()
        deadline = asyncio.get_running_loop().time() + within
        while self.server.open_connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  once in a process's life
            await asyncio.sleep(0.02)
        if self.server.open_connections:
            log.warning("cutting %d connections", self.server.open_connections)
            self.server.abort()
            await asyncio.sleep(0.05)

    def cut(self) -> None:
        """Break every connection that is left."""
        self.server.abort()

    async def close(self) -> None:
        """Release everything, after half a `start` too."""
        await self._tasks.cancel()
        if hasattr(self, "listener"):
            self.listener.close()
        await self.abort()
        await self.gateway.close()


def _context(tls: ListenerTls | None) -> ssl.SSLContext | None:
    return None if tls is None else server_context(tls)
