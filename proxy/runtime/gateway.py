"""The gateway: the current snapshot, and the one assignment that replaces it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from proxy.config.models import Config
from proxy.errors import ConfigError, GatewayError
from proxy.plugin.catalog import Catalog
from proxy.plugin.context import GatewayStatus, OwnHandler
from proxy.plugin.dropins import DropInError, Namespace, namespace, restore
from proxy.runtime import serving
from proxy.runtime.begin import begin
from proxy.runtime.lag import LoopLag
from proxy.runtime.ledger import Ledger
from proxy.runtime.recent import RecentExchanges
from proxy.runtime.retired import Retired
from proxy.runtime.shared import Shared
from proxy.runtime.slices import collector_paused
from proxy.runtime.snapshot import Snapshot
from proxy.secrets.measuring import measured
from proxy.server.server import most_connections
from proxy.tasks import Tasks
from proxy.version import VERSION

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange
    from proxy.server.protocol import ClientConnection
    from proxy.server.request import Request
    from proxy.server.server import GatewayServer

log = logging.getLogger("brain.gateway")

PublicPages = Mapping[tuple[str, str], OwnHandler]

RESTART_ONLY = ("listen", "admin", "control", "workers", "state_dir")
"""Keys of `gateway:` that bind something at start; a reload that changes them is refused."""


class Prepared(NamedTuple):
    """A snapshot that was built aside, and what stood in its place `before`."""

    snapshot: Snapshot
    catalog: Catalog
    before: Namespace


class Gateway(Ledger):
    """Serves requests on the current snapshot and replaces it on reload."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self.catalog = catalog
        self.shared = Shared()
        self.recent = RecentExchanges()
        self.tasks = Tasks()
        self.server: GatewayServer | None = None
        self.public_pages: Callable[[Config], PublicPages] = _no_pages
        self._snapshot: Snapshot | None = None
        self._lag = LoopLag()
        self._retired = Retired(self.tasks, self._share_bound)

    @property
    def snapshot(self) -> Snapshot:
        """What runs now. Raises GatewayError before the first load."""
        if self._snapshot is None:
            raise GatewayError("gateway_failed", log="nothing is loaded")
        return self._snapshot

    @property
    def loaded(self) -> bool:
        """Whether there is a snapshot."""
        return self._snapshot is not None

    # -- what the server asks

    def serve(self, connection: ClientConnection, request: Request) -> Coroutine[Any, Any, bool]:
        """Serve one request on the snapshot of this moment."""
        snapshot = self._snapshot
        assert snapshot is not None
        return serving.run(snapshot, connection, request, begin(snapshot, connection, request))

    def refuse(
        self, connection: ClientConnection, request: Request, error: GatewayError
    ) -> Coroutine[Any, Any, bool]:
        """Answer what never becomes a request."""
        return serving.refuse(self.snapshot, connection, request, error)

    # -- load and reload

    async def apply(self, config: Config) -> None:
        """Build a snapshot of `config` aside, swap by one assignment, let the old one drain.

        Raises ConfigError, and what ran before runs on.
        """
        self.commit(await self.prepare(config))

    async def prepare(self, config: Config) -> Prepared:
        """Build a snapshot of `config` aside: `commit` or `abort` must follow.

        Raises ConfigError, and nothing is left of it.
        """
        old = self._snapshot
        if old is not None:
            _refuse_restart_only(old.config, config)
        before = namespace()
        fresh = Snapshot(config, self.shared, self.tasks)
        try:
            # A reload may name a plugin for the first time: its import must not stop the loop.
            catalog = await asyncio.to_thread(
                _import_plugins, self.catalog, config, first=old is None
            )
            with collector_paused():
                await fresh.build(catalog, old, self.status, self.public_pages(config))
        except BaseException:
            restore(before)
            await fresh.close()
            raise
        return Prepared(fresh, catalog, before)

    def commit(self, prepared: Prepared) -> None:
        """Let what was prepared serve from the next request on."""
        self._remember(prepared.snapshot)
        old, self._snapshot = self._snapshot, prepared.snapshot
        self.catalog = prepared.catalog
        self.loaded_at = time.time()
        self._follow(prepared.snapshot.config)
        if old is not None:
            self._retired.add(old)
            self._share_bound()

    def _share_bound(self) -> None:
        """Leave to the snapshot that serves what old ones do not use of the process's bound."""
        if self._snapshot is not None:
            bound = self._snapshot.bound
            self._snapshot.most = max(0, bound - self._retired.in_flight)

    async def abort(self, prepared: Prepared) -> None:
        """Take back what was prepared: what runs runs on."""
        restore(prepared.before)
        await prepared.snapshot.close()

    def _remember(self, fresh: Snapshot) -> None:
        """Have what ends on `fresh` kept for `brain why`, as long as its configuration says."""
        settings = fresh.config.gateway.recent
        self.recent.follow(settings)
        fresh.note = self.recent.note if settings.keep else None

    def _follow(self, config: Config) -> None:
        self._lag.start()
        if self.server is not None:
            self.server.limits = config.gateway.limits_of_one
            self.server.timeouts = config.gateway.timeouts
            self.server.exempt = self.snapshot.trusted.__contains__

    # -- what is shown

    def status(self) -> GatewayStatus:
        """Return what the gateway counts itself."""
        snapshot = self.snapshot
        upstreams = list(snapshot.upstreams.values())
        return GatewayStatus(
            version=VERSION,
            revision=snapshot.revision,
            loaded_at=self.loaded_at,
            reloads={"ok": self.reloads["ok"], "refused": self.reloads["refused"]},
            snapshots=1 + len(self._retired),
            connections=0 if self.server is None else self.server.open_connections,
            in_flight=self.in_flight,
            retries={
                (upstream.name, reason): count
                for upstream in upstreams
                for reason, count in upstream.retries.items()
            },
            upstreams=[upstream.status() for upstream in upstreams if upstream.used],
            task_deaths=self.shared.deaths,
            split=dict(self.shared.split),
            mirrored=dict(self.shared.mirrored),
            most_connections=0 if self.server is None else most_connections(self.server.limits),
            most_in_flight=snapshot.bound,
            lag=self._lag.status(),
            certificate_expires=snapshot.certificate_expires,
            stale=self.last_error is not None,
            secrets=[measured(cache) for cache in snapshot.secrets.stores.values()],
        )

    @property
    def in_flight(self) -> int:
        """Requests under way, on all snapshots."""
        current = 0 if self._snapshot is None else self._snapshot.in_flight
        return current + self._retired.in_flight

    def under_way(self) -> list[Exchange]:
        """Return the exchanges that are not over, on all snapshots."""
        current = () if self._snapshot is None else self._snapshot.serving.values()
        return [*current, *self._retired.under_way]

    def serving(self) -> list[ClientConnection]:
        """Return the connections whose requests are under way, on all snapshots."""
        current = () if self._snapshot is None else self._snapshot.serving
        return [*current, *self._retired.serving]

    # -- end

    async def close(self) -> None:
        """Close what runs and all that still drains."""
        self._lag.stop()
        await self._retired.close()
        if self._snapshot is not None:
            await self._snapshot.close()
        await self.tasks.join(1.0)
        await self.tasks.cancel()
        await self.shared.close()


def _no_pages(_config: Config) -> PublicPages:
    return {}


def _import_plugins(catalog: Catalog, config: Config, *, first: bool) -> Catalog:
    """Return the catalog that has this configuration's drop-ins, all that it names imported.

    The first load was made in this process: what it has run is not run again.
    """
    if not first or catalog.dropins != config.dropins:
        catalog = catalog.with_dropins(config.dropins)
    try:
        for entry in config.entries:
            catalog.named(entry.plugin, entry.use)
    except DropInError as error:
        place = f"{error.file}:{error.line}"
        raise ConfigError(f"{place}: {error}", hint=error.hint) from error
    if config.entries:
        # What any of them may ask for in its setup: it reads /proc when it is imported.
        importlib.import_module("proxy.plugin.metrics")
    return catalog


def _refuse_restart_only(old: Config, new: Config) -> None:
    changed = [
        key for key in RESTART_ONLY if getattr(old.gateway, key) != getattr(new.gateway, key)
    ]
    if changed:
        names = ", ".join(f"gateway.{key}" for key in changed)
        raise ConfigError(f"{names} can't change while running", hint="restart the gateway")
