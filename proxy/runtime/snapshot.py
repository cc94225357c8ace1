"""What runs: compiled routes, chains, upstreams and plugins, built of one Config and never changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from proxy.config.models import Access, Config, Entry, RouteSpec, ServiceSpec, UpstreamSpec
from proxy.errors import ConfigError, GatewayError
from proxy.forwarded import Networks
from proxy.plugin.answer import Answer
from proxy.plugin.base import Handler
from proxy.plugin.catalog import Catalog
from proxy.plugin.context import GatewayStatus, OwnHandler
from proxy.plugin.exchange import EXCHANGE
from proxy.plugin.stages import Stage
from proxy.runtime.asking import authenticate_link, known_caller, ways_of
from proxy.runtime.begin import route_for
from proxy.runtime.chain import Held, guarded, link, never_raises
from proxy.runtime.context import Context, scope_of
from proxy.runtime.fields import RequestRules
from proxy.runtime.forward import forward
from proxy.runtime.instances import Instances
from proxy.runtime.mirror import bare_link, needs_bare
from proxy.runtime.pages import OwnPages
from proxy.runtime.rewrite import rewrite_link
from proxy.runtime.route import Route, needs_principal, path_template
from proxy.runtime.router import Candidate, Router, candidate_of
from proxy.runtime.shape import shape
from proxy.runtime.shared import Shared
from proxy.runtime.slices import in_slices, let_go
from proxy.runtime.withheld import Withheld
from proxy.secrets.keeping import SecretsKept
from proxy.secrets.opening import store_makers
from proxy.server.certificate import expires_at
from proxy.server.checks import ALLOW
from proxy.server.protocol import ClientConnection
from proxy.server.server import most_in_flight
from proxy.tasks import Tasks
from proxy.upstream.pool import Upstream
from proxy.upstream.tls import client_contexts

if TYPE_CHECKING:
    from ssl import SSLContext

    from proxy.plugin.base import Authenticator
    from proxy.plugin.exchange import Exchange
    from proxy.plugin.principal import Principal
    from proxy.server.request import Request

log = logging.getLogger("brain.snapshot")
T = TypeVar("T")


class Snapshot:
    """One revision, running. Requests enter and leave; the last one out of a retired one closes it.

    `bound` is how many requests the process may serve at once, `most` what of that old snapshots
    leave to this one. Of a retired one `left` is called whenever a request leaves.
    """

    def __init__(self, config: Config, shared: Shared, tasks: Tasks) -> None:
        self.config = config
        self.revision = config.revision
        self.tasks = tasks
        self.router = Router()
        self.fallback: Candidate | None = None
        self.trusted = Networks(config.gateway.trusted_proxies)
        self.trusts = bool(self.trusted)
        self.upstreams: dict[UpstreamSpec, Upstream] = {}
        self._stores = tuple(store_makers(config.secrets))
        self.secrets = SecretsKept(
            {one.name: shared.take(one.key, one.make) for one in self._stores}
        )
        self._own_pages = OwnPages(config.gateway.base_path)
        self.pages = self._own_pages.found
        self.serving: dict[ClientConnection, Exchange] = {}
        self.note: Callable[[Exchange], None] | None = None
        self.bound = self.most = most_in_flight(config.gateway.limits_of_one)
        self.left: Callable[[], None] = _nobody
        self.certificate_expires: float | None = None
        self._shared = shared
        self._services: dict[str, tuple[ServiceSpec, Upstream]] = {}
        self._folded: dict[tuple[object, ...], Handler] = {}
        self._quiet: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Snapshot {self.revision[:12]} in_flight={self.in_flight}>"

    # -- building

    async def build(
        self,
        catalog: Catalog,
        previous: Snapshot | None,
        status: Callable[[], GatewayStatus],
        public_pages: Mapping[tuple[str, str], OwnHandler],
        *,
        set_up: bool = True,
    ) -> None:
        """Compile everything aside of what runs. Raises ConfigError; then call `close`.

        Without `set_up` plugins are only made: what comes of it can be looked at, and not served.
        """
        config = self.config
        known = {} if previous is None else previous.upstreams
        former = {spec.name: upstream for spec, upstream in known.items()}
        contexts = await asyncio.to_thread(client_contexts, config.upstreams)
        if config.gateway.tls is not None:
            cert = config.gateway.tls.cert
            self.certificate_expires = await asyncio.to_thread(expires_at, cert)
        ordered = [
            self._upstream(spec, known, contexts.get(spec), former.get(spec.name))
            async for spec in in_slices(config.upstreams)
        ]
        self._services = {one.name: (one, ordered[one.upstream]) for one in config.services}
        self.instances = Instances(
            catalog, lambda entry: self._context(entry, status), first=previous is None
        )
        if set_up:
            await self.secrets.open()
        await self.instances.build(config.entries, set_up=set_up)
        self._prepare_chains(public_pages)
        async for route in in_slices(config.routes):
            self.router.add(self._route(route, ordered))
        if config.fallback is not None:
            self.fallback = candidate_of(self._route(config.fallback, ordered), "", 0)

    def _upstream(
        self,
        spec: UpstreamSpec,
        known: Mapping[UpstreamSpec, Upstream],
        context: SSLContext | None,
        former: Upstream | None,
    ) -> Upstream:
        upstream = self.upstreams.get(spec)
        if upstream is None:
            upstream = known.get(spec)
            if upstream is None or upstream.context is not context:
                upstream = Upstream(spec, context)
            self.upstreams[spec] = upstream
            upstream.acquire(former)
        return upstream

    def _context(self, entry: Entry, status: Callable[[], GatewayStatus]) -> Context:
        gateway, pages = self.config.gateway, self._own_pages
        return Context(
            entry,
            self._shared,
            self._services,
            pages,
            status,
            gateway,
            self._ask_besides,
            self.secrets,
        )

    async def _ask_besides(self, request: Request, path: str, besides: Authenticator) -> Principal:
        held = self.instances.held
        route = route_for(self, request, path)
        asked = [] if route is None else [held[index] for index in route.spec.authenticators]
        others = [one for one in asked if one.plugin is not besides]
        if route is None or len(others) == len(asked):
            raise GatewayError("ticket_refused", log=f"'{path}' asks for no ticket")
        request.exchange.asked_for = route, path
        guards = self._own_guards(route.spec)
        if not guards:
            return await known_caller(ways_of(others), request)
        found: list[Principal] = []

        async def ask(_: web.BaseRequest) -> Answer:
            found.append(await known_caller(ways_of(others), request))
            return Answer(status=204)

        answer = await self._fold(guards, guarded("ticket", ask))(request)
        if not found:
            raise answer.error or GatewayError("ticket_refused")
        return found[0]

    def _own_guards(self, spec: RouteSpec) -> list[Held]:
        """Return what guards a route and not the gateway's own pages, such as a limit of guesses."""
        held = self.instances.held
        own = [held[index] for index in spec.chain if index not in self.config.global_chain]
        return [one for one in own if one.plugin.stage is Stage.GUARD]

    def _prepare_chains(self, public_pages: Mapping[tuple[str, str], OwnHandler]) -> None:
        held = self.instances.held
        config = self.config
        protected = {name for one in held for name in one.plugin.protects}
        withheld = Withheld(one.plugin for one in held)
        self.rules = RequestRules(protected, config.gateway.limits.hops, withheld)
        around = [held[index] for index in config.global_chain]
        observing = [one for one in around if one.plugin.stage is Stage.OBSERVE]
        self.refusing_chain = self._fold(around, guarded("gateway", _refuse))
        self.observing_chain = self._fold(observing, guarded("gateway", _refuse))
        self._own_pages.open(lambda page: self._fold(around, page))
        for key, page in {("OPTIONS", "*"): _server_options, **public_pages}.items():
            self.pages[key] = self._fold(around, guarded("gateway", page))

    def _fold(self, around: Sequence[Held], handler: Handler) -> Handler:
        for one in reversed(around):
            handler = link(one, handler)
        return handler

    def _route(self, spec: RouteSpec, upstreams: Sequence[Upstream]) -> Route:
        route = Route(spec, upstreams[spec.upstream], self._chain(spec))
        entries = self.config.entries
        route.asks = tuple(scope_of(entries[index]) for index in spec.authenticators)
        if spec.split or spec.mirror is not None:
            shape(route, upstreams, self._shared, self.tasks)
        return route

    def _chain(self, spec: RouteSpec) -> Handler:
        """Fold a route's chain; routes with the same chain share it, as the route is looked up later."""
        bare = needs_bare(spec.mirror)
        key = (spec.chain, spec.authenticators, spec.access, _rewrites_late(spec), bare)
        chain = self._folded.get(key)
        if chain is None:
            chain = self._folded[key] = self._fold_route(spec)
        return chain

    def _fold_route(self, spec: RouteSpec) -> Handler:
        held = self.instances.held
        outside, inside = self.around_caller(spec)
        asked = [held[index] for index in spec.authenticators]
        last = [index for index in inside if held[index].plugin.stage is Stage.CREDENTIALS]
        inside = [index for index in inside if index not in last]
        handler = self._fold([held[index] for index in last], never_raises(forward))
        if last and needs_bare(spec.mirror):
            handler = guarded("mirror", bare_link(handler))
        handler = self._fold([held[index] for index in inside], handler)
        if _rewrites_late(spec):
            handler = guarded("rewrite", rewrite_link(handler))
        if spec.access is not Access.PUBLIC:
            if not asked:
                raise ConfigError(f"{spec.place}: route '{spec.name}' lets anyone in")
            handler = authenticate_link(asked, spec.access, handler)
        return self._fold([held[index] for index in outside], handler)

    def around_caller(self, spec: RouteSpec) -> tuple[list[int], list[int]]:
        """Return which entries of a route run before the caller is asked for, and which after."""
        held = self.instances.held
        around = [index for index in spec.chain if index not in spec.authenticators]
        outside = [i for i in around if held[i].plugin.stage <= Stage.AUTHENTICATE]
        return outside, [index for index in around if index not in outside]

    # -- life

    @property
    def in_flight(self) -> int:
        """Requests on this snapshot: a connection has one at a time."""
        return len(self.serving)

    def enter(self, connection: ClientConnection, exchange: Exchange) -> None:
        """A request begins."""
        self.serving[connection] = exchange

    def leave(self, connection: ClientConnection) -> None:
        """A request is over."""
        self.serving.pop(connection, None)
        if self._quiet is not None:
            self.left()
            if not self.serving and not self._quiet.done():
                self._quiet.set_result(None)

    async def quiet(self) -> None:
        """Wait until no request is on this snapshot."""
        if self.serving:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet

    def cut(self) -> None:
        """Break the connections whose requests are still on this snapshot."""
        for connection in list(self.serving):
            connection.cut = True
            connection.abort()

    async def close(self) -> None:
        """Close plugins and idle connections, and take large mappings apart in slices.

        Works after half a `build`. Dropping 10,000 routes at once would stop the loop.
        """
        if hasattr(self, "instances"):
            await self.instances.close()
        self.secrets.close()
        for one in self._stores:
            self._shared.give_back(one.key)
        self._stores = ()
        async for upstream in in_slices(list(self.upstreams.values())):
            upstream.release()
        self._folded.clear()
        self._own_pages.clear()
        self._services = {}
        async for children in in_slices(list(self.router.children())):
            children.clear()
        config = self.config
        leftover = [*config.routes, *config.services, *config.upstreams, *config.entries]
        leftover += self.upstreams.values()
        self.upstreams = {}
        del self.config, config
        await let_go(leftover)


def _rewrites_late(spec: RouteSpec) -> bool:
    return needs_principal(path_template(spec))


def _nobody() -> None:
    """No old snapshot: nobody waits for room."""


async def _server_options(_request: web.BaseRequest) -> Answer:
    """Answer `OPTIONS *`, which asks of the server as a whole (RFC 9110, 9.3.7)."""
    return Answer(status=204, headers={"Allow": ALLOW}, origin="gateway")


async def _refuse(request: web.BaseRequest) -> Answer:
    raise request[EXCHANGE].error or GatewayError("no_route")
