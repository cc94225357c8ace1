"""One request and response on their way, as plugins see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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
    def name(self) -> str: ...

    @property
    def service(self) -> str | None: ...

    @property
    def forward_token(self) -> bool:
        """Whether the upstream may see the credential by which the caller was authenticated."""

    def path_value(self, name: str, path: str) -> str | None:
        """Return the segment of canonical `path` that `{name}` of the route's path stands for."""


def now_since(started: float) -> float:
    """Return the seconds since `started`, a `time.perf_counter()` reading."""
    return perf_counter() - started


@dataclass(slots=True)
class Client:
    """The client as it is believed: what trusted proxies say, else the connection's own.

    `address` is an IP address in text form, `scheme` is http or https, `host` is the authority by
    which the client came.
    """

    address: str
    scheme: str
    host: str
    trusted: bool = False


@dataclass(slots=True)
class Attempt:
    """One try at an upstream. Times are seconds since the exchange began, None when not reached.

    `began` is when the forwarder asked for a connection: what passed before it is the chain's.
    """

    target: str = ""
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
    began: float = 0.0


@dataclass(slots=True, eq=False)
class Exchange:
    """One request on its way: `request[EXCHANGE]`.

    `path` is the canonical view of the client's path, `prefix` the public prefix by which it came. It
    holds no reference to the request, nor to anything that holds it: a cycle per request would
    cost the garbage collector 5-10 % CPU. `started` is a `time.perf_counter()` reading; `head_sent`
    and `ended` are seconds since then. `received` counts body bytes from the client, `sent` to it.
    In `on_finish`, `status` is what the client got (499: it left; 0: the connection broke before a
    head) and `error` is what ended the exchange, be it answered as a problem or not.
    """

    route: RouteInfo
    client: Client
    outgoing: Outgoing
    request_id: str
    method: str
    path: str
    started: float
    prefix: str = ""
    principal: Principal | None = None
    attempts: list[Attempt] = field(default_factory=list)
    answer: Answer | None = None
    error: GatewayError | None = None
    status: int = 0
    sent: int = 0
    received: int = 0
    head_sent: float | None = None
    ended: float | None = None
    callbacks: list[Callable[[Exchange], Any]] | None = None

    def path_value(self, name: str) -> str | None:
        """Return the segment that `{name}` of the route's path matched, percent-decoded."""
        return self.route.path_value(name, self.path)

    def on_finish(self, callback: Callable[[Exchange], Any]) -> None:
        """Call `callback(exchange)` when all is over, whatever happened; the last registered first.

        It is synchronous. One that raises is logged with its plugin and the others run; a coroutine
        that it returns runs as a tracked task, shielded from the client's leaving.
        """
        if self.callbacks is None:
            self.callbacks = []
        self.callbacks.append(callback)


EXCHANGE = web.RequestKey("exchange", Exchange)
"""Key of the exchange on a request: `request[EXCHANGE]`."""
