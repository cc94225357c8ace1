"""A compiled route: everything about it that can be known before a request comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy import paths
from proxy.config.models import PathPattern, RouteSpec
from proxy.rewriting import Bases
from proxy.templates import Template
from proxy.upstream.head import HeadBounds

if TYPE_CHECKING:
    from proxy.plugin.base import Handler
    from proxy.upstream.pool import Upstream

PATH_ROOTS = ("request", "principal", "claims", "service")


class Route:
    """One route of a snapshot: its match, its folded chain and its upstream.

    `patience` is how long one try may take until the head of its answer, in seconds.
    """

    __slots__ = (
        "authorities",
        "bounds",
        "chain",
        "forward_token",
        "limits",
        "name",
        "patience",
        "retry",
        "rewrite",
        "rewrites_late",
        "service",
        "spec",
        "timeouts",
        "upstream",
    )

    def __init__(self, spec: RouteSpec, upstream: Upstream, chain: Handler) -> None:
        self.spec = spec
        self.name = spec.name
        self.service = spec.service
        self.upstream = upstream
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
        self.authorities = tuple(target.authority.lower() for target in upstream.spec.targets)

    def __repr__(self) -> str:
        return f"<Route {self.name}>"

    @property
    def destination(self) -> str:
        """Return the targets, the path below which they are asked, and the Host that they are told."""
        spec = self.upstream.spec
        targets = ",".join(str(target) for target in spec.targets)
        return f"{targets}{spec.path} host={self.spec.host or ''}"

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
    destination = ""

    def path_value(self, name: str, path: str) -> str | None:
        """No route, no segments."""
        return None


NO_ROUTE = NoRoute()


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
