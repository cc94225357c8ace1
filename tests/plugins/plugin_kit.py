"""What plugin tests need: real messages, a real exchange, and the gateway as a plugin sees it."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from time import perf_counter
from typing import Any, TypeVar

from aiohttp import ClientSession, web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy import (
    EXCHANGE,
    Answer,
    Client,
    Exchange,
    GatewayStatus,
    Handler,
    Once,
    Outgoing,
    Plugin,
    PluginContext,
    Store,
)
from proxy.headers import Field, encode
from proxy.plugin.base import Authenticator
from proxy.plugin.context import EntryInfo, ServiceCaller, UpstreamStatus
from proxy.plugin.metrics import MetricRegistry
from proxy.plugin.once import OnceHere
from proxy.plugin.options import convert
from proxy.plugin.principal import Principal
from proxy.runtime.callbacks import marked
from proxy.testing.store import TestSecrets

P = TypeVar("P", bound=Plugin)

STATUS = GatewayStatus(
    version="0.1.0",
    revision="abc123",
    loaded_at=1_800_000_000.0,
    reloads={"ok": 2, "refused": 1},
    snapshots=1,
    connections=7,
    in_flight=0,
    retries={("crm", "upstream_connect_refused"): 3},
    upstreams=[UpstreamStatus(name="crm", open=5, idle=3, in_flight=2, waiting=1)],
)


class Route:
    """A route's name and service, with one path segment called `id`."""

    name = "crm/contacts"
    destination = "http://crm:8003"
    asks: tuple[str, ...] = ()

    @property
    def destinations(self) -> tuple[str, ...]:
        return (self.destination,)

    def towards(self, request: object) -> "Route":
        return self

    def __init__(self, service: str | None = "crm", *, forward_token: bool = False) -> None:
        self.service = service
        self.forward_token = forward_token

    def path_value(self, name: str, path: str) -> str | None:
        return path.rpartition("/")[2] if name == "id" else None


class Context(PluginContext):
    """One process's registry and shared values, seen by any number of instances."""

    def __init__(
        self, metrics: MetricRegistry, shared: dict[str, Any], secrets: TestSecrets
    ) -> None:
        self.entry = EntryInfo("some-identity", "some-plugin", "routes.yaml", 1, "/some-identity")
        self.logger = logging.getLogger("brain.plugin.test")
        self.metrics = metrics
        self._shared = shared
        self._secrets = secrets
        self.stores: dict[str, Store] = {}

    @property
    def http(self) -> ClientSession:
        raise AssertionError("no plugin here calls out")

    @property
    def secrets(self) -> TestSecrets:
        return self._secrets

    def service(self, name: str) -> ServiceCaller:
        raise AssertionError("no plugin here calls a service")

    def serve(self, method: str, path: str, handler: Callable[..., Awaitable[Answer]]) -> None:
        raise AssertionError("no plugin here has pages")

    async def caller(
        self, request: web.BaseRequest, path: str, besides: Authenticator
    ) -> Principal | None:
        raise AssertionError("no plugin here asks who calls")

    async def key(self, name: str) -> bytes:
        raise AssertionError("no plugin here has a key")

    def spawn(
        self,
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        restart: bool = False,
    ) -> None:
        raise AssertionError("no plugin here has tasks")

    def share(self, key: str, factory: Callable[[], Any]) -> Any:
        if key not in self._shared:
            self._shared[key] = factory()
        return self._shared[key]

    async def store(self, option: Mapping[str, Any]) -> Store:
        return self.stores[str(option["valkey"])]

    async def once(self, option: Mapping[str, Any] | None) -> Once:
        return self.share("once", OnceHere)

    def status(self) -> GatewayStatus:
        return STATUS


class Found:
    """Collects what `check` says."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}
        self.warnings: dict[str, str] = {}

    def add(self, option: str, message: str, *, hint: str | None = None) -> None:
        self.errors[option] = message

    def warn(self, option: str, message: str, *, hint: str | None = None) -> None:
        self.warnings[option] = message


class Kit:
    """Makes plugins as the loader does, and requests with their exchange on them."""

    def __init__(self) -> None:
        self.registry = MetricRegistry()
        self.store: dict[str, dict[str, str]] = {}
        self.secrets = TestSecrets(self.store)
        self._shared: dict[str, Any] = {}
        self._running: list[Plugin] = []

    def context(self) -> Context:
        return Context(self.registry, self._shared, self.secrets)

    def make(self, kind: type[P], options: Mapping[str, Any] | None = None, **injected: Any) -> P:
        """Return an instance of `options` as the file has them; `injected` is for tests alone."""
        return kind(**convert(kind.schema, dict(options or {})), **injected)

    async def run(
        self, kind: type[P], options: Mapping[str, Any] | None = None, **injected: Any
    ) -> P:
        """Return an instance that is set up, and closed after the test."""
        plugin = self.make(kind, options, **injected)
        self._running.append(plugin)
        await plugin.setup(self.context())
        return plugin

    async def close(self) -> None:
        for plugin in reversed(self._running):
            await plugin.close()
        await self.secrets.end()
        for value in self._shared.values():
            if hasattr(value, "close"):
                value.close()


def request_of(
    method: str = "GET",
    target: str = "/api/brain/crm/contacts?page=2",
    *,
    headers: Mapping[str, str] | CIMultiDict[str] | None = None,
    sent_on: Mapping[str, str] | None = None,
    route: Route | None = None,
    trusted: bool = False,
    request_id: str = "",
) -> web.BaseRequest:
    """Return a request whose outgoing request has the raw fields `sent_on`."""
    request = make_mocked_request(method, target, headers=headers)
    fields: list[Field] = [(encode(k), encode(v)) for k, v in (sent_on or {}).items()]
    exchange = request[EXCHANGE] = Exchange(
        route or Route(),
        Client("203.0.113.7", "https", "brain.example.com", trusted),
        Outgoing(method, target.removeprefix("/api/brain/crm"), fields),
        method,
        target.partition("?")[0],
        perf_counter(),
        "/api/brain/crm",
    )
    exchange.request_id = request_id
    return request


def upstream_answer(*fields: tuple[str, str], status: int = 200) -> Answer:
    """Return an answer as the forwarder makes it."""
    raw: list[Field] = [(encode(name), encode(value)) for name, value in fields]
    return Answer.from_upstream(status, "Some Reason", raw, b"")


def handler_of(answer: Answer | None = None) -> Handler:
    """Return the rest of a chain, which gives `answer`."""

    async def handler(request: web.BaseRequest) -> Answer:
        return upstream_answer() if answer is None else answer

    return handler


async def ask(plugin: Plugin, request: web.BaseRequest, handler: Handler) -> Answer:
    """Return what would be sent when `plugin` is all of a chain around `handler`."""
    return marked(request, await plugin(request, handler))


async def unreachable(request: web.BaseRequest) -> Answer:
    """A rest of the chain that must not be asked."""
    raise AssertionError("the plugin should have answered itself")


def is_raw(message: Answer | Outgoing) -> bool:
    """Tell whether nobody has touched the headers, so that they are relayed as they came."""
    made = message._made_headers if isinstance(message, Answer) else message._headers
    return made is None


def finish(exchange: Exchange, **outcome: Any) -> None:
    """End an exchange as the gateway does, with attributes such as `status`."""
    for name, value in outcome.items():
        setattr(exchange, name, value)
    for callback in reversed(exchange.callbacks or []):
        callback(exchange)
