"""The gateway as one plugin instance sees it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, TypeVar, cast

from proxy.config.models import Entry, Gateway, ServiceSpec
from proxy.errors import ConfigError, GatewayError, Unavailable
from proxy.plugin.context import EntryInfo, GatewayStatus, Metrics, OwnHandler, PluginContext
from proxy.plugin.once import OnceHere, OnceShared
from proxy.plugin.stores import TIMEOUT, StoreAddress
from proxy.runtime.caller import Caller
from proxy.runtime.chain import page
from proxy.runtime.keys import SIZE, kept_key
from proxy.runtime.store_address import StoreOfSecret
from proxy.tasks import Tasks

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.answer import Answer
    from proxy.plugin.base import Authenticator
    from proxy.plugin.http import HttpClient
    from proxy.plugin.principal import Principal
    from proxy.ports.secrets import Secrets
    from proxy.ports.stores import Once, Store
    from proxy.runtime.pages import OwnPages
    from proxy.runtime.shared import Shared
    from proxy.server.request import Request
    from proxy.upstream.pool import Upstream

    Ask = Callable[[Request, str, Authenticator], Awaitable[Principal]]
    """Asks who calls, as the route of a path would, all but one of its authenticators."""

T = TypeVar("T")

RESTART_FIRST = 1.0
RESTART_MOST = 60.0


def scope_of(entry: Entry) -> str:
    """Return the name of an entry among all entries."""
    return f"{entry.owner}/{entry.identity}"


async def _nobody(_request: Request, _path: str, _besides: Authenticator) -> Principal:
    raise GatewayError("ticket_refused", log="its snapshot has ended")


class Context(PluginContext):
    """Everything made through it is released when its snapshot closes."""

    def __init__(
        self,
        entry: Entry,
        shared: Shared,
        services: Mapping[str, tuple[ServiceSpec, Upstream]],
        pages: OwnPages,
        status: Callable[[], GatewayStatus],
        gateway: Gateway,
        ask: Ask,
        secrets: Secrets,
    ) -> None:
        place, scope = entry.place, scope_of(entry)
        self.entry = EntryInfo(entry.identity, entry.plugin, place.file, place.line, scope)
        self.logger = logging.getLogger(f"brain.plugin.{entry.identity}")
        self.deaths: dict[str, str] = {}
        self._shared = shared
        self._services = services
        self._pages = pages
        self._status = status
        self._gateway = gateway
        self._ask = ask
        self._secrets = secrets
        self._tasks = Tasks(self._died)
        self._keys: list[tuple[str, str]] = []
        self._served: list[tuple[str, str]] = []

    @property
    def metrics(self) -> Metrics:  # type: ignore[override]
        """The process's registry, imported when a plugin first asks."""
        return self._shared.metrics

    @property
    def http(self) -> HttpClient:
        """One client for the process."""
        return self._shared.http

    @property
    def secrets(self) -> Secrets:
        """The stores of the file, whose values are kept fresh while the snapshot lives."""
        return self._secrets

    def service(self, name: str) -> Caller:
        """Return a caller for a service of the file. Raises ConfigError for an unknown name."""
        found = self._services.get(name)
        if found is None:
            raise ConfigError(f"there is no service '{name}'")
        spec, upstream = found
        return Caller(upstream, spec.timeouts, spec.limits)

    def serve(self, method: str, path: str, handler: OwnHandler) -> None:
        """Answer `<base_path>/_<path>`; GET answers HEAD too. Raises ConfigError when it is taken."""
        method, path = method.upper(), path.strip("/")
        for each in ("GET", "HEAD") if method == "GET" else (method,):
            self._pages.add((each, path), page(self.entry.identity, handler))
            self._served.append((each, path))

    async def caller(
        self, request: web.BaseRequest, path: str, besides: Authenticator
    ) -> Principal:
        """Return who calls, asked by the authenticators of a route."""
        return await self._ask(cast("Request", request), path, besides)

    async def key(self, name: str) -> bytes:
        """Return 32 random bytes that are this plugin's."""
        gateway = self._gateway
        if gateway.state_dir is not None:
            full = f"{self.entry.plugin}-{name}"
            return await asyncio.to_thread(kept_key, gateway.state_dir, full)
        if gateway.workers > 1:
            raise ConfigError(
                f"each of {gateway.workers} workers would have a key of its own",
                hint="set gateway.state_dir, where it is kept for all of them",
            )
        return self.share(f"key:{name}", lambda: token_bytes(SIZE))

    def spawn(
        self,
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        restart: bool = False,
    ) -> None:
        """Run a background task until the snapshot closes."""
        self._tasks.spawn(
            self._keep_running(coroutine, name) if restart else coroutine(), name=name
        )

    async def _keep_running(
        self, coroutine: Callable[[], Coroutine[Any, Any, None]], name: str
    ) -> None:
        pause = RESTART_FIRST
        while True:
            try:
                await coroutine()
            except Exception as error:
                self._died(name, error)
                self.logger.exception("task '%s' died, it starts again in %d s", name, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RESTART_MOST)
            else:
                return
            finally:
                self.deaths.pop(name, None)

    def _died(self, name: str, error: BaseException) -> None:
        self.deaths[name] = type(error).__name__
        self._shared.count_death()

    def share(self, key: str, factory: Callable[[], T]) -> T:
        """Return a value shared by this plugin's instances in this process."""
        return self._take((self.entry.plugin, key), factory)

    def _take(self, key: tuple[str, str], factory: Callable[[], T]) -> T:
        self._keys.append(key)
        return self._shared.take(key, factory)

    async def store(self, option: Mapping[str, Any]) -> Store:
        """Return the process's client for the store that `option` names."""
        from proxy.plugin import valkey

        given, timeout = option["valkey"], option.get("timeout", TIMEOUT)
        redis = await valkey.library()

        def client(address: StoreAddress) -> Store:
            # No plugin has an empty name: the client is shared by all of them.
            return self._take(
                ("", f"store {address.digest} {timeout}"),
                lambda: valkey.Valkey(redis, address, timeout=timeout),
            )

        if isinstance(given, StoreAddress):
            return client(given)
        kept = StoreOfSecret(given, self.secrets, client)
        if not await kept.bind():
            self.spawn(kept.bind_later, name="get the address of the store")
        return kept

    async def once(self, option: Mapping[str, Any] | None) -> Once:
        """Return this entry's list of what was used."""
        if option is not None:
            return OnceShared(await self.store(option), self.entry.scope)
        return self.share(f"once {self.entry.scope}", OnceHere)

    def status(self) -> GatewayStatus:
        """Return what the gateway counts itself."""
        return self._status()

    async def stop_tasks(self) -> None:
        """Cancel what runs."""
        await self._tasks.cancel()

    def release(self) -> None:
        """Give shared values back."""
        for key in self._keys:
            self._shared.give_back(key)
        self._keys.clear()

    def part(self) -> None:
        """Let go of the snapshot, which a plugin that keeps this would else keep for ever."""
        self._ask = _nobody
        self._tasks.forget()

    async def undo(self, away: Unavailable) -> None:
        """Take back all that was made through this, so that `setup` may begin anew.

        Its pages stay, and say meanwhile what is away.
        """
        await self.stop_tasks()

        async def say(_: web.BaseRequest) -> Answer:
            raise Unavailable(str(away), code=away.code)

        for key in self._served:
            self._pages.wait(key, page(self.entry.identity, say))
        self._served.clear()
        self.deaths.clear()
        self.release()
