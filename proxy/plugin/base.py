"""A plugin: a class that makes a middleware from options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from proxy.plugin.claims import principal_of
from proxy.plugin.stages import Stage

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.answer import Answer
    from proxy.plugin.context import PluginContext
    from proxy.plugin.exchange import Exchange
    from proxy.plugin.principal import Principal
    from proxy.ports.secrets import Secret

Handler = Callable[["web.BaseRequest"], Awaitable["Answer"]]
"""The rest of the chain: takes the request, always returns an Answer."""


class Problems(Protocol):
    """Where `Plugin.check` puts what a schema can't say."""

    def add(self, option: str, message: str, *, hint: str | None = None) -> None:
        """Report an error at `option`, a path such as `keys.0.sha256`, shown with its own line."""

    def warn(self, option: str, message: str, *, hint: str | None = None) -> None:
        """Report what is legal and unwise."""


class Plugin:
    """A middleware with options and a lifetime: the instance is the middleware.

    There is one instance per entry of the file, shared by all chains that contain it; so nothing of
    one request is kept on `self`.
    """

    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}
    """JSON Schema (draft-07) of the options, every key with a description."""

    stage: Stage = Stage.TRANSFORM
    """Where in the chain this stands. An instance may set its own from its options."""

    protects: frozenset[str] = frozenset()
    """Headers that it owns, lower case: removed from every client's request, `_` twins too.

    An instance may set its own from its options.
    """

    needs_caller: bool | None = None
    """Whether it can do nothing where nobody is asked who calls.

    True refuses the load of a route that is `public: true` and has it in its chain; False lets it stand
    there although its options name values of the caller; None goes by those. An instance may set its own
    from its options.
    """

    per_worker: str | None = None
    """What each worker process keeps by itself, such as "stored answers": `brain check` warns of it.

    An instance may set its own from its options. A gateway with `workers` has an instance of every
    entry in each of them, and `/metrics` has the sums of all: of gauges too, but for those whose names
    end in `_info` or `_timestamp_seconds`.
    """

    one_process: str | None = None
    """What only one process may keep, such as "the list of used tickets".

    An instance sets it where its options name no store that all workers share: with `workers` above
    1 the file is refused.
    """

    @classmethod
    def expand(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return options, as the file has them, with what a short word such as a profile stands for.

        They fit the schema before and after. What comes of it is what the constructor gets, and what
        `/config` shows. Called with values as written too, in which `${NAME}` stands. No I/O.
        """
        return options

    def __init__(self, **options: Any) -> None:
        """Take options, already converted by the schema's formats, defaults applied. No I/O."""

    def check(self, problems: Problems) -> None:
        """Report load-time rules that the schema can't say. No I/O."""

    async def setup(self, context: PluginContext) -> None:
        """Acquire what is needed, before the first request.

        Raises ConfigError to refuse the load, Unavailable when a dependency is away: then the
        snapshot serves, the routes that need this plugin answer 503, and `setup` is tried again.
        """

    async def ready(self) -> str | None:
        """Return None, or the reason shown on /ready. Asked at each /ready: be quick."""
        return None

    def explain(self, exchange: Exchange) -> list[str]:
        """Say what it would do to this exchange, a sentence a line. No I/O."""
        return []

    def admits(self) -> str | None:
        """Return in a few words whom it lets pass, such as "role admin", for `brain routes`. No I/O.

        None: it turns nobody away.
        """
        return None

    def judge(self, option: str, secret: Secret) -> list[str]:
        """Say why what stands at the path of `option` can't be used, a sentence each, without a value.

        For options of `format: secret-path`, such as `secret` or `secret.0`. `brain secrets check` and
        `brain check --connect` ask it of an instance that is not set up. No I/O.
        """
        return []

    async def close(self) -> None:
        """Release everything, after the last request, and after a half-done `setup` too."""

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        """Handle one request. Raise Problem to refuse; any other exception is a 500.

        Mostly an `async def`. A plugin with nothing to do once the answer is there may be a plain
        function and return `handler(request)`: that spares every request a coroutine.
        """
        return handler(request)


class Authenticator(Plugin, ABC):
    """A plugin that says who calls. All authenticators of a route are asked by one link.

    It declares where its credentials stand. They reach no upstream, on any route, also where this
    authenticator is not asked, unless the route says `forward_token: true`. A header of its own is
    among `protects`, which holds for every route.
    """

    stage = Stage.AUTHENTICATE

    follows: ClassVar[bool] = False
    """Whether it takes nothing but what callers got by another authenticator of the route, as tickets
    are: where it stands alone nobody could get in, and the file is refused."""

    protects_schemes: frozenset[str] = frozenset()
    """Schemes of `Authorization` (RFC 9110, 11.4) whose credentials are its own, lower case."""

    protects_cookies: frozenset[str] = frozenset()
    """Cookies that are its own; a name that ends in `*` stands for all that begin so."""

    protects_query: frozenset[str] = frozenset()
    """Parameters of the query that are its own."""

    @abstractmethod
    def authenticate(
        self, request: web.BaseRequest
    ) -> Principal | Awaitable[Principal | None] | None:
        """Return the principal, or None: nothing of mine is on this request.

        Mostly an `async def`; a plain function that knows the answer at once spares the request a
        coroutine. Raises Unauthenticated: there is a credential of mine, and it is bad; Unavailable
        where what it asks is away; Problem to refuse otherwise.
        """

    def principal_of(self, claims: Mapping[str, Any]) -> Principal:
        """Return whom `claims` would mean to it, for `brain explain --claims`: nothing is verified.

        `by` is set by the caller. Raises ValueError for claims that it could make nobody of. No I/O.
        """
        return principal_of(claims)

    async def invite(self, request: web.BaseRequest) -> Answer | None:
        """Return what a caller without any credential gets, such as a redirect to a login.

        Asked in listed order where no authenticator of the route found anything of its own; the first
        answer is sent. None from all of them: a 401 with every challenge. Raises Unavailable.
        """
        return None

    def challenge(self) -> str | None:
        """Return its part of `WWW-Authenticate` (RFC 9110, 11.6.1), or None."""
        return None
