"""The ways of a route's `split` and the copies of its `mirror`: made for it, and taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.config.models import SplitSpec
from proxy.runtime.mirror import Mirror
from proxy.runtime.route import Route
from proxy.runtime.split import Split, Way
from proxy.runtime.tenants import sent_to_tenant

if TYPE_CHECKING:
    from proxy.runtime.mirror import Body
    from proxy.runtime.shared import Shared
    from proxy.server.request import Request
    from proxy.tasks import Tasks
    from proxy.upstream.pool import Upstream


def shape(route: Route, upstreams: Sequence[Upstream], shared: Shared, tasks: Tasks) -> None:
    """Complete `route`; `upstreams` are those of the configuration, in its order."""
    spec = route.spec
    mirror = None
    if spec.mirror is not None:
        upstream = upstreams[spec.mirror.upstream]
        mirror = Mirror(spec.mirror, route, upstream, tasks, shared.mirrored)
    route.mirror = mirror
    route.shaped = True
    if not spec.split:
        return
    name = route.service or route.name

    def way(one: SplitSpec | None) -> Way:
        index = spec.upstream if one is None else one.upstream
        made = Route(spec, upstreams[index], route.chain, base=route.base)
        # What went there is not sent there again: it would be compared with itself.
        same = mirror is not None and mirror.upstream is made.upstream
        made.mirror = None if same else mirror
        made.shaped = made.mirror is not None
        return Way(made, one, name, shared.split)

    route.split = Split(name, way(None), [way(one) for one in spec.split])


async def sent_its_way(request: Request, body: Body) -> tuple[Route, Body]:
    """Send a request its way: return the route that it goes on by, and its body.

    That of a tenant's host wins over a `split`. Raises GatewayError.
    """
    route: Route = request.route
    origin = request.exchange.outgoing.origin
    if origin is not None:
        return await sent_to_tenant(request, origin, body)
    if route.split is not None:
        route = route.split.choose(request)
    if route.mirror is not None:
        body = route.mirror.watch(request, body)
    return route, body
