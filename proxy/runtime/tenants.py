"""A request that a plugin sends to a tenant's host: the route that it goes on by, and its body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.upstream.origins import origins_of

if TYPE_CHECKING:
    from proxy.plugin.hosts import Origin
    from proxy.runtime.mirror import Body
    from proxy.runtime.route import Route
    from proxy.server.request import Request


async def sent_to_tenant(request: Request, origin: Origin, body: Body) -> tuple[Route, Body]:
    """Send a request to a tenant's host, whatever `split` says. Raises GatewayError.

    It is the request's own route with another upstream, as a way of a split is. A second call, with
    the same origin or another, begins at the file's upstream again.
    """
    route: Route = request.route
    pool = await origins_of(route.home).pool(origin)
    route = request.route = route.sent_to(pool)
    if route.mirror is not None and request.copy is None:
        # Nothing tells the tenant's credentials from what the client sent, unless it was kept before.
        if request.bare is None:
            route.mirror.count("skipped-tenant")
        else:
            body = route.mirror.watch(request, body)
    return route, body
