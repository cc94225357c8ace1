"""A compiled route: everything about it that can be known before a request comes."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, cast

from proxy import paths
from proxy.config.models import PathPattern, RouteSpec
from proxy.rewriting import Bases
from proxy.templates import Template
from proxy.upstream.head import HeadBounds

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.base import Handler
    from proxy.runtime.mirror import Mirror
    from proxy.runtime.split import Split
    from proxy.server.request import Request
    from proxy.upstream.pool import Upstream

PATH_ROOTS = ("request", "principal", "claims", "service")


class Route:
    """One route of a snapshot: its match, its folded chain and its upstream.

    With `split` it is what the chain sees; the forwarder goes on by one of its ways. `base` is the
    path of the upstream for which outgoing targets are made: the route's own, of a way too, and
    `moves` says that this one's is another; `shaped` that it has a split or a mirror. `home` is the
    file's upstream, beside which tenants' hosts have their pools; `host` is what the file says of the
    `Host` header. `patience` is how long one try may take until the head of its answer, in seconds.
    """

    __slots__ = (
        "asks",
        "authorities",
        "base",
        "bounds",
        "chain",
        "forward_token",
        "home",
        "host",
        "limits",
        "mirror",
        "moves",
        "name",
        "patience",
        "retry",
        "rewrite",
        "rewrites_late",
        "service",
        "shaped",
        "spec",
        "split",
        "timeouts",
        "upstream",
    )

    def __init__(
        self, spec: RouteSpec, upstream: Upstream, chain: Handler, *, base: str | None = None
    ) -> None:
        self.split: Split | None = None
        self.mirror: Mirror | None = None
        self.shaped = False
        self.asks: tuple[str, ...] = ()
        self.base = upstream.spec.path if base is None else base
        self.moves = self.base != upstream.spec.path
        self.spec = spec
        self.name = spec.name
        self.service = spec.service
        self.upstream = self.home = upstream
        self.host = spec.host
        self.chain = chain
        self.timeouts = spec.timeouts
        self.retry = spec.retry
        per_try, whole = spec.retry.per_try, spec.timeouts.response
        self.patience = whole if per_try is None else min(per_try, whole)
        self.limits = spec.limits
        self.forward_token = spec.forward_token
        limits = spec.limits
        self.bounds = HeadBounds(
            limits.response_field, limits.response_head, limits.response_fields
        )
        self.rewrite = path_template(spec)
        self.rewrites_late = needs_principal(self.rewrite)
        self.authorities = authorities_of(upstream)

    def __repr__(self) -> str:
        return f"<Route {self.name}>"

    def sent_to(self, upstream: Upstream) -> Route:
        """Return this route with the pool of a tenant's host for its only upstream."""
        made = copy(self)
        made.split = None
        made.upstream = upstream
        made.host = None
        made.moves = made.base != upstream.spec.path
        made.authorities = authorities_of(upstream)
        return made

    @property
    def destination(self) -> str:
        """Return the targets, the path below which they are asked, and the Host that they are told."""
        spec = self.upstream.spec
        targets = ",".join(str(target) for target in spec.targets)
        return f"{targets}{spec.path} host={self.spec.host or ''}"

    @property
    def destinations(self) -> tuple[str, ...]:
        """Return the destinations of all its ways."""
        if self.split is None:
            return (self.destination,)
        ways = (self.split.rest, *self.split.others)
        return tuple(dict.fromkeys(way.route.destination for way in ways))

    def towards(self, request: web.BaseRequest) -> Route:
        """Return the way of a request, the route itself where there is but one."""
        if self.split is None:
            return self
        return self.split.chosen(cast("Request", request)).way.route

    def path_value(self, name: str, path: str) -> str | None:
        """Return the text of the segment that `{name}` stands for; `path` is below the prefix."""
        pattern = self.spec.match.path
        if name not in pattern.names:
            return None
        places = [at for at, segment in enumerate(pattern.segments, 1) if segment is None]
        at = places[pattern.names.index(name)]
        segments = path.split("/")
        return paths.value(segments[at]) if at < len(segments) else None

    def bases(self, prefix: str, sent_host: str) -> Bases:
        """Return the two views of this route's place, for one that came under `prefix`."""
        authorities = (
            self.authorities if sent_host in self.authorities else (*self.authorities, sent_host)
        )
        return Bases(self.upstream.spec.path, prefix, authorities)


class NoRoute:
    """What stands in an exchange for a route that there is none of."""

    name = "-"
    service: str | None = None
    forward_token = False
    asks: tuple[str, ...] = ()
    destination = ""
    destinations: tuple[str, ...] = ("",)

    def towards(self, request: web.BaseRequest) -> NoRoute:
        """No route, no ways."""
        return self

    def path_value(self, name: str, path: str) -> str | None:
        """No route, no segments."""
        return None


NO_ROUTE = NoRoute()


def authorities_of(upstream: Upstream) -> tuple[str, ...]:
    """Return the host[:port] texts that mean an upstream."""
    return tuple(target.authority.lower() for target in upstream.spec.targets)


def path_template(spec: RouteSpec) -> Template | None:
    """Return the route's compiled `rewrite`, None where it has none."""
    return None if spec.rewrite is None else Template.compile(spec.rewrite, PATH_ROOTS)


def needs_principal(template: Template | None) -> bool:
    """Tell whether a template has values that are known only when the caller is."""
    names = () if template is None else template.names
    return any(name.partition(".")[0] in ("principal", "claims") for name in names)


def literal_depth(pattern: PathPattern) -> int:
    """Count the literal segments before the first `{name}`."""
    for depth, segment in enumerate(pattern.segments):
        if segment is None:
            return depth
    return len(pattern.segments)
