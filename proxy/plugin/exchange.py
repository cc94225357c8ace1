"""One request and response on their way, as plugins see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from aiohttp import web

if TYPE_CHECKING:
    from proxy.errors import GatewayError
    from proxy.plugin.answer import Answer
    from proxy.plugin.outgoing import Outgoing
    from proxy.plugin.principal import Principal


_Reached = float | None
Phases = tuple[
    float, _Reached, _Reached, _Reached, _Reached, _Reached, _Reached, _Reached, _Reached
]
"""The durations of `Attempt.PHASES`."""


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
    def asks(self) -> tuple[str, ...]:
        """Who is asked for its callers: the `EntryInfo.scope` of each authenticator, in their order.

        Empty where nobody is.
        """

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

    `queued`: when a wait for one of the upstream's slots began, None where one was free. `pool`:
    when a connection might be used; `resolved`, `connected`, `secured`: the steps of opening one;
    `sent`: the whole request; `head`: the answer's head was here; `end`: the try was over. `reused`
    tells that its connection had served before. `status` is what the target answered, `code` the
    error that ended the try, `note` what that error tells the log alone.

    `again` says why another try followed: "connect" (nothing had been sent), "stale-connection"
    (an idle one that the target had closed), "reset", "status" (one that the route tries again) or
    "per-try-timeout"; or why none did after a failure: "attempts" (there were as many as allowed),
    "budget" (too many requests are tried again already), "method" (it may not be sent twice),
    "body" (it can't be sent twice) or "too-late" (no time was left, or a 103 had gone out). None
    where that was no question.

    Defaults stand on the class: an attempt is made for every request, and most of it stays unset.
    """

    PHASES: ClassVar = (
        *("total", "chain", "pool", "resolve", "connect", "tls", "send", "wait", "body"),
    )
    """What `phases` tells, in its order."""

    reused: bool = False
    queued: float | None = None
    pool: float | None = None
    resolved: float | None = None
    connected: float | None = None
    secured: float | None = None
    sent: float | None = None
    head: float | None = None
    end: float | None = None
    status: int | None = None
    code: str | None = None
    note: str = ""
    again: str | None = None

    def __init__(self, target: str) -> None:
        self.target = target
        self.end = None  # read for every attempt

    def __repr__(self) -> str:
        return f"<Attempt {self.target} status={self.status} code={self.code}>"

    def phases(self, since: float, ended: float) -> Phases:
        """Return how long each of `PHASES` took, in milliseconds, None for one that was not reached.

        `total`: all of it; `chain`: what came before the try, the chain's plugins or the pause
        between two; `pool`: the wait for a slot, None where one was free; `resolve`, `connect`,
        `tls`: opening a connection, all None where one was reused; `send`: writing the request;
        `wait`: until the answer's head; `body`: from there to the end. The phase in which a try
        failed lasts until the failure. `since` is when the try before was over, 0 for the first;
        `ended` stands for an `end` that is None.
        """
        if (end := self.end) is None:
            end = ended
        # Written out, not looped over names, and each duration by hand: this runs for every
        # exchange that is logged, and a call takes as long as two of them.
        total = int((end - since) * 1e6 + 0.5) / 1000
        chain = pool = resolve = connect = tls = send = None
        if (at := self.pool) is not None:
            if (queued := self.queued) is not None:
                chain = int((queued - since) * 1e6 + 0.5) / 1000
                pool = int((at - queued) * 1e6 + 0.5) / 1000
            else:
                chain = int((at - since) * 1e6 + 0.5) / 1000
            since = at
        if not self.reused:
            if (at := self.resolved) is not None:
                resolve, since = int((at - since) * 1e6 + 0.5) / 1000, at
            if (at := self.connected) is not None:
                connect, since = int((at - since) * 1e6 + 0.5) / 1000, at
            if (at := self.secured) is not None:
                tls, since = int((at - since) * 1e6 + 0.5) / 1000, at
        if (at := self.sent) is not None:
            send, since = int((at - since) * 1e6 + 0.5) / 1000, at
        if (head := self.head) is None:
            told = (total, chain, pool, resolve, connect, tls, send, None, None)
            return self._cut_short(told, end - since)
        # An early answer's head comes before the last byte of the request is sent.
        wait = int((head - since) * 1e6 + 0.5) / 1000 if head > since else 0.0
        body = int((end - head) * 1e6 + 0.5) / 1000
        return total, chain, pool, resolve, connect, tls, send, wait, body

    @property
    def reached(self) -> str:
        """Return the last of `PHASES` that the try came to."""
        if self.head is not None:
            return "body"
        if self.sent is not None:
            return "wait"
        if self.pool is None:
            return "chain"
        secures = self.target.startswith("https:")
        if self.reused or (self.secured if secures else self.connected) is not None:
            return "send"
        if self.connected is not None:
            return "tls"
        return "resolve" if self.resolved is None else "connect"

    def _cut_short(self, told: Phases, rest: float) -> Phases:
        """Give the rest of the time, in seconds, to the phase that was not finished."""
        at = self.PHASES.index(self.reached)
        if told[at] is not None:
            return told
        rounded = int(rest * 1e6 + 0.5) / 1000
        return cast("Phases", (*told[:at], rounded, *told[at + 1 :]))

    @staticmethod
    def timed(attempts: Sequence[Attempt], ended: float) -> Iterator[Phases]:
        """Yield the phases of each of an exchange's attempts; it was over at `ended` (seconds)."""
        since = 0.0
        for attempt, following in zip_longest(attempts, attempts[1:]):
            end = attempt.end
            if end is None:
                # A plugin dropped its answer and called the handler again, or it goes on.
                end = following.pool if following and following.pool is not None else ended
            yield attempt.phases(since, end)
            since = end


class Exchange:
    """One request on its way: `request[EXCHANGE]`.

    `path` is the canonical view of the client's path, `prefix` the public prefix by which it came;
    `started` is a `time.perf_counter()` reading, and other times are seconds since then; `sent` and
    `received` count body bytes; `origin_trusted` says that the page behind the request is of an origin
    that `cors` lists; `asked_for` is the route and the raw path of a GET for which a page of the
    gateway's own asks who calls (`PluginContext.caller`), None elsewhere; `credential` says which
    secret was put on the request, by its reference and version, never its value; `unsaid` are texts
    that no header of an answer may repeat, 1xx and trailers too. It holds no reference to the request,
    nor to anything that holds it: a cycle per request would cost the garbage collector 5-10 % CPU.
    """

    request_id: str = ""
    principal: Principal | None = None
    origin_trusted: bool = False
    asked_for: tuple[RouteInfo, str] | None = None
    credential: str | None = None
    unsaid: tuple[bytes, ...] = ()
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
        # Read for every exchange: what only the class has takes several times as long to find.
        self.request_id = ""
        self.error = None
        self.received = self.sent = 0
        self.callbacks = None
        self.markers = None

    def __repr__(self) -> str:
        return f"<Exchange {self.method} {self.path} route={self.route.name} status={self.status}>"

    @property
    def acts_for_caller(self) -> bool:
        """Whether a credential was put on that is chosen by who calls: another caller has another."""
        return self.credential is not None and "${" in self.credential

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


def _make_known(instance: object, names: Iterable[str]) -> None:
    """Make `names` attributes that instances of this class are expected to have.

    CPython keeps the values of an instance beside it, and the names with the class; but only the
    first thirty instances may add to these. Where thirty requests hang before the first one ends,
    each later one would get a dict of its own for the names that are set at its end: 8 % of its CPU.
    """
    for name in names:
        setattr(instance, name, None)


_make_known(Attempt.__new__(Attempt), Attempt.__annotations__.keys() - {"PHASES"})
_make_known(Exchange.__new__(Exchange), Exchange.__annotations__)


EXCHANGE = web.RequestKey("exchange", Exchange)
"""Key of the exchange on a request: `request[EXCHANGE]`."""
