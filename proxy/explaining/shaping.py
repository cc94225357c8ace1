"""Which of a route's upstreams a request would go to, and whether a copy of it would be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.config.models import Access, Compare, Place, ValueTest
from proxy.explaining.origins import Origins
from proxy.runtime.moving import drop_cookies

if TYPE_CHECKING:
    from proxy.runtime.mirror import Mirror
    from proxy.runtime.route import Route
    from proxy.runtime.split import Chosen, Split, Way
    from proxy.server.request import Request


@dataclass(frozen=True, slots=True)
class Branch:
    """One upstream of a route; `share` is what is left for the route's own."""

    upstream: str
    share: float
    headers: tuple[ValueTest, ...]
    cookies: tuple[ValueTest, ...]
    place: Place | None
    chosen: bool


@dataclass(frozen=True, slots=True)
class Parted:
    """The upstreams of a route with `split`, its own last.

    `reason` is request (it asks for that one), share, rest, or caller: who calls is not known, and
    would decide. `point` is where the caller stands among all, 0.0 to 1.0; `by` what it is known by.
    """

    reason: str
    point: float | None
    by: str
    branches: tuple[Branch, ...]

    @property
    def chosen(self) -> Branch:
        """The one that gets the request."""
        return next(one for one in self.branches if one.chosen)


@dataclass(frozen=True, slots=True)
class Mirrored:
    """The mirror of a route.

    `never` is None where a share of such requests is copied, else why none is: method, upgrade, or
    same for what that upstream gets itself.
    """

    upstream: str
    share: float
    compare: str
    never: str | None
    place: Place | None


def parted(request: Request, origins: Origins) -> Parted | None:
    """Send the request the way that it would go and say which that is, None where there is one."""
    route: Route = request.route
    split = route.split
    if split is None:
        return None
    chosen, reason = _chosen(split, request)
    way = chosen.way
    request.route = way.route
    if way.spec is not None and not way.spec.keeps_cookies:
        drop_cookies(request)
    branches = [
        _branch(one, origins.beside("split", number), chosen=one is way)
        for number, one in enumerate(split.others)
    ]
    left = max(1.0 - sum(one.share for one in branches), 0.0)
    own = Branch(route.upstream.name, left, (), (), origins.target(0), way is split.rest)
    principal = request.exchange.principal
    by = "address" if principal is None else "principal"
    return Parted(reason, chosen.point, by, (*branches, own))


def _chosen(split: Split, request: Request) -> tuple[Chosen, str]:
    chosen = split.chosen(request)
    unknown = request.exchange.principal is None
    if unknown and chosen.point is not None and request.route.spec.access is Access.REQUIRED:
        return chosen._replace(way=split.rest, point=None), "caller"
    return chosen, chosen.reason


def _branch(way: Way, place: Place | None, *, chosen: bool) -> Branch:
    spec = way.spec
    assert spec is not None
    name = way.route.upstream.name
    return Branch(name, spec.share or 0.0, spec.headers, spec.cookies, place, chosen)


def mirrored(request: Request, whole: Route, origins: Origins) -> Mirrored | None:
    """Return what the mirror of a route is; `whole` is the route before the request went its way."""
    mirror = whole.mirror
    if mirror is None:
        return None
    spec = mirror.spec
    compare = "false" if spec.compare is Compare.NOTHING else spec.compare.value
    never = _never(mirror, request)
    return Mirrored(mirror.upstream.name, spec.share, compare, never, origins.beside("mirror"))


def _never(mirror: Mirror, request: Request) -> str | None:
    if request.upgrade:
        return "upgrade"
    if not mirror.wants(request):
        return "method"
    return "same" if mirror.upstream is request.route.upstream else None
