"""What a plugin is given at setup."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiohttp import web

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram
    from prometheus_client.registry import Collector

    from proxy.plugin.answer import Answer
    from proxy.plugin.base import Authenticator
    from proxy.plugin.http import HttpClient
    from proxy.plugin.principal import Principal
    from proxy.ports.secrets import Secrets
    from proxy.ports.stores import Once, Store

T = TypeVar("T")
OwnHandler = Callable[[web.BaseRequest], Awaitable["Answer"]]


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """The entry of the file that this instance was made of.

    `scope` names it among all entries, also over reloads and at other gateways with the same file:
    the level that it stands at and its identity, such as `services.crm/limit`.
    """

    identity: str
    plugin: str
    file: str
    line: int
    scope: str = ""


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One target now, in this process.

    `state` is ok, unhealthy (active checks), ejected (its answers to requests), or its breaker's
    open, half-open or probing; `reason` says why where it is not ok. Counts are since the start.
    """

    name: str
    state: str
    in_flight: int
    idle: int
    reason: str | None = None
    ejections: int = 0
    openings: int = 0
    checks_passed: int = 0
    checks_failed: int = 0


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """Connections and targets of one upstream now, in this process.

    `panicking`: no target is well, so all are asked. `retries_refused` were over the budget.
    `concurrent` and `queue` bound what is in flight and what waits; 0 where nobody said. `origins`
    counts tenants' hosts that have a pool beside it; what these hold is in the other counts, and
    `concurrent` and `queue` bind each of them alone.
    """

    name: str
    open: int
    idle: int
    in_flight: int
    waiting: int
    panicking: bool = False
    retries_refused: int = 0
    targets: Sequence[TargetStatus] = ()
    concurrent: int = 0
    queue: int = 0
    origins: int = 0


@dataclass(frozen=True, slots=True)
class LagStatus:
    """How late the event loop was, each time that it was looked at.

    `bounds` are inclusive upper bounds in seconds; `counts` has one more, for what was above them;
    `total` are seconds.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


@dataclass(frozen=True, slots=True)
class SecretStoreStatus:
    """One store of secrets now, in this process: nothing of what it keeps, nor where.

    `up`: it is to be had, as far as it knows. `paths` are kept, `leases` of them end by themselves.
    `asked` are questions by what came of them: read, renewed, failed; `bounds`, `counts` and `total`
    tell in how many seconds, as of `LagStatus`. `token_left` is in seconds, None for a token without
    end, or none; `logins` and `renewals` are None for a store that has no token.
    """

    name: str
    up: bool
    paths: int
    leases: int
    asked: Mapping[str, int]
    bounds: Sequence[float]
    counts: Sequence[int]
    total: float
    token_left: float | None = None
    logins: int | None = None
    renewals: int | None = None


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """The gateway now: what an operator's metrics show.

    `split` are requests of routes with several upstreams, by service, upstream and class of the
    status; `mirrored` are copies of requests, by service and result.
    `most_connections` and `most_in_flight` are what may be open and served at once, 0 where nobody
    said. `certificate_expires` is in seconds since 1970, None without TLS on the public listener.
    `stale`: the files were refused when they were last read, and an older revision serves.
    """

    version: str
    revision: str
    loaded_at: float
    reloads: Mapping[str, int]
    snapshots: int
    connections: int
    in_flight: int
    retries: Mapping[tuple[str, str], int]
    upstreams: Sequence[UpstreamStatus]
    task_deaths: int = 0
    split: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    mirrored: Mapping[tuple[str, str], int] = field(default_factory=dict)
    most_connections: int = 0
    most_in_flight: int = 0
    lag: LagStatus | None = None
    certificate_expires: float | None = None
    stale: bool = False
    secrets: Sequence[SecretStoreStatus] = ()


class Metrics(Protocol):
    """Get-or-create, so that a reload does not collide with itself. Names get no prefix."""

    def counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        """Return prometheus-client's counter; Prometheus reads it as `name_total`."""

    def gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        """Return prometheus-client's gauge."""

    def histogram(
        self, name: str, text: str, labels: Iterable[str] = (), buckets: Sequence[float] = ()
    ) -> Histogram:
        """Return prometheus-client's histogram; without `buckets` it has the library's."""

    def collector(self, name: str, collector: Collector) -> None:
        """Register a collector; one registered under the same name before is replaced."""


class ServiceCaller(Protocol):
    """Another service of the file, reached over its own pool."""

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a request; `target` is joined to the service's upstream path.

        The answer must be read (`answer.read(limit)`) or closed. Raises GatewayError.
        """


class PluginContext(ABC):
    """The gateway as a plugin sees it. Everything made here is released when its snapshot closes.

    What a `setup` made before it raised Unavailable is released at once: the next one begins anew. Pages
    that it served by then answer 503 meanwhile.
    Workflows are no part of this version of the contract: a context has no such name, rather than
    one that does nothing. They come as a further property, over `proxy.ports`.
    """

    entry: EntryInfo
    logger: logging.Logger
    metrics: Metrics

    @property
    @abstractmethod
    def http(self) -> HttpClient:
        """One client for the process: no cookies, no redirects, no environment proxy, 5 s in all."""

    @property
    @abstractmethod
    def secrets(self) -> Secrets:
        """The stores of the file: `bound = await context.secrets.bind(reference)`.

        `reference` is an option of `format: secret`. Read `bound.current` when the value is used,
        not once: it is kept fresh while the snapshot lives.
        """

    @abstractmethod
    def service(self, name: str) -> ServiceCaller:
        """Return a caller for a service of the file. Raises ConfigError for an unknown name."""

    @abstractmethod
    def serve(self, method: str, path: str, handler: OwnHandler) -> None:
        """Answer `<base_path>/_<path>` on the public listener, outside any route.

        Only the global chain stands around it, and anybody may call. GET answers HEAD too. Raises
        ConfigError when another plugin serves it already.
        """

    @abstractmethod
    async def caller(
        self, request: web.BaseRequest, path: str, besides: Authenticator
    ) -> Principal:
        """Return who calls, asked by the authenticators of the route that takes a GET of `path`.

        All but `besides`, which must be one of them: a page of its own gives out another credential
        for what the caller may have anyway. `exchange.asked_for` says to them what they are asked of.
        Raises GatewayError, as the route would: a 401 with its challenges where there is no credential;
        `ticket_refused` where no route asks `besides` for that path.
        """

    @abstractmethod
    async def key(self, name: str) -> bytes:
        """Return 32 random bytes that are this plugin's, by a name of its own.

        The same after a restart and in all workers where `gateway.state_dir` is set; else they live
        as long as one of the plugin's instances. Raises ConfigError where workers would have several,
        and where `state_dir` can't be used.
        """

    @abstractmethod
    def spawn(
        self,
        coroutine: Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        restart: bool = False,
    ) -> None:
        """Run a background task until the snapshot closes.

        Its death is logged, counted and shown on /ready; with `restart` it is started again, with a
        growing pause of 1 to 60 s.
        """

    @abstractmethod
    def share(self, key: str, factory: Callable[[], T]) -> T:
        """Return a value shared by this plugin's instances in this process, over reloads too.

        It is made once, and closed (`close()`, where it has one, a coroutine or not) when its last
        user has closed.
        """

    @abstractmethod
    async def store(self, option: Mapping[str, Any]) -> Store:
        """Return the store that an option of the schema `STORE_SCHEMA` names.

        There is one client for each address in this process, over reloads too. Neither it nor the
        secret store that keeps its address need be there: its calls raise Unavailable while one is
        not. Raises ConfigError where redis-py (the extra `valkey`) is not installed, and for an
        address that a secret store does not have.
        """

    @abstractmethod
    async def once(self, option: Mapping[str, Any] | None) -> Once:
        """Return this entry's list of what was used: in the store of `option`, else in this process.

        It outlives a reload. A plugin that needs one list for all says so where it has no store:
        `self.one_process = "the list of used tickets"`; then a file with several workers is refused.
        """

    @abstractmethod
    def status(self) -> GatewayStatus:
        """Return what the gateway counts itself in this process: each worker its own."""
