"""One request and response on their way, as plugins see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

if TYPE_CHECKING:
    from proxy.errors import GatewayError
    from proxy.plugin.answer import Answer
    from proxy.plugin.outgoing import Outgoing
    from proxy.plugin.principal import Principal


class RouteInfo(Protocol):
    """What a plugin may know of the route that took the request."""

    @property
    def name(self) -> str:
        """The route's name, as in logs and metrics; "-" where no route took the request."""

    @property
    def service(self) -> str | None:
        """The service's name, None for a route outside of all."""

    @property
    def forward_token(self) -> bool:
        """Whether the upstream may see the credential by which the caller was authenticated."""

    @property
    def destination(self) -> str:
        """Where it forwards to, as text: another text is another server, or another view of it.

        Empty for what no route took: the gateway's own pages and refusals. With `split` requests of
        one route go to several places: `towards(request)` has the one of a request.
        """

    @property
    def destinations(self) -> tuple[str, ...]:
        """All destinations that its requests may have: of more than one with `split` alone."""

    def towards(self, request: web.BaseRequest) -> RouteInfo:
        """Return the route as it holds for one request: its `destination` is where that one goes.

        It depends on who calls: ask it behind the authenticators. Without `split` it is the route.
        """

    def path_value(self, name: str, path: str) -> str | None:
        """Return the segment that `{name}` of the route's path stands for, percent-decoded.

        `path` is canonical, the public prefix taken off.
        """


def now_since(started: float) -> float:
    """Return the seconds since `started`, a `time.perf_counter()` reading."""
    return perf_counter() - started


@dataclass(frozen=True, slots=True)
class Client:
    """The client as it is believed: what trusted proxies say, else the connection's own.

    `address` is an IP address in text form, `scheme` is http or https, `host` is the authority by
    which the client came.
    """

    address: str
    scheme: str
    host: str
    trusted: bool = False


class Attempt:
    """One try at an upstream. Times are seconds since the exchange began, None when not reached.

    Defaults stand on the class: an attempt is made for every request, and most of it stays unset.
    """

    reused: bool = False
    pool: float | None = None
    resolved: float | None = None
    connected: float | None = None
    secured: float | None = None
    sent: float | None = None
    head: float | None = None
    end: float | None = None
    status: int | None = None
    code: str | None = None
    queued: float | None = None
    note: str = ""
    again: str | None = None

    def __init__(self, target: str) -> None:
        self.target = target

    def __repr__(self) -> str:
        return f"<Attempt {self.target} status={self.status} code={self.code}>"


class Exchange:
    """One request on its way: `request[EXCHANGE]`.

    `path` is the canonical view of the client's path, `prefix` the public prefix by which it came;
    `started` is a `time.perf_counter()` reading, and other times are seconds since then; `sent` and
    `received` count body bytes. It holds no reference to the request, nor to anything that holds it:
    a cycle per request would cost the garbage collector 5-10 % CPU.
    """

    request_id: str = ""
    principal: Principal | None = None
    answer: Answer | None = None
    error: GatewayError | None = None
    status: int = 0
    sent: int = 0
    received: int = 0
    head_sent: float | None = None
    ended: float | None = None
    callbacks: list[Callable[[Exchange], Any]] | None = None
    markers: list[Callable[[Exchange, Answer], None]] | None = None

    def __init__(
        self,
        route: RouteInfo,
        client: Client,
        outgoing: Outgoing,
        method: str,
        path: str,
        started: float,
        prefix: str = "",
    ) -> None:
        self.route = route
        self.client = client
        self.outgoing = outgoing
        self.method = method
        self.path = path
        self.started = started
        self.prefix = prefix
        self.attempts: list[Attempt] = []

    def __repr__(self) -> str:
        return f"<Exchange {self.method} {self.path} route={self.route.name} status={self.status}>"

    def path_value(self, name: str) -> str | None:
        """Return the segment that `{name}` of the route's path matched, percent-decoded."""
        return self.route.path_value(name, self.path[len(self.prefix) :])

    def on_finish(self, callback: Callable[[Exchange], Any]) -> None:
        """Call `callback(exchange)` when all is over, whatever happened; the last registered first.

        It is synchronous. One that raises is logged with its plugin and the others run; a coroutine
        that it returns runs as a tracked task, shielded from the client's leaving.
        """
        if self.callbacks is None:
            self.callbacks = []
        self.callbacks.append(callback)

    def on_answer(self, callback: Callable[[Exchange, Answer], None]) -> None:
        """Call `callback(exchange, answer)` on what is about to be sent; the last registered first.

        For a plugin that only marks answers, whoever made them: it returns `handler(request)` as it
        is, which costs half of waiting for it. It is called once, after the whole chain, on a 101
        too; it is synchronous and edits `answer`. One that raises closes the exchange with a 500.
        """
        if self.markers is None:
            self.markers = []
        self.markers.append(callback)


EXCHANGE = web.RequestKey("exchange", Exchange)
"""Key of the exchange on a request: `request[EXCHANGE]`."""
