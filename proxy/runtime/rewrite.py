"""A route's `rewrite`: the path that its upstream gets in place of the one that matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from proxy import paths
from proxy.errors import GatewayError
from proxy.plugin.values import render

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.answer import Answer
    from proxy.plugin.base import Handler
    from proxy.runtime.route import Route
    from proxy.server.request import Request


def rewritten(request: Request) -> str:
    """Return the raw path to send; what the template leaves is joined byte for byte.

    Raises GatewayError for a value that is missing, and `bad_path` for one that would make another
    path of it: dots alone, nothing at all, a slash where the route forbids an encoded one.
    """
    candidate, raw_path = request.rewrites
    route: Route = request.route
    assert route.rewrite is not None
    written = render(route.rewrite, request, quote=True)
    if not route.rewrite.literal:
        paths.canonical(written)
        if not route.spec.allow_encoded_slash and paths.has_encoded_separator(written):
            raise GatewayError("bad_path")
    pattern = route.spec.match.path
    rest = paths.strip(raw_path, candidate.depth + len(pattern.segments)) if pattern.prefix else ""
    return paths.join(route.base, written.rstrip("/") + rest if rest else written)


def rewrite_link(inner: Handler) -> Handler:
    """Return the link that rewrites by what is known of the caller, once the caller is known."""

    async def call(incoming: web.BaseRequest) -> Answer:
        request = cast("Request", incoming)
        outgoing = request.exchange.outgoing
        outgoing.aim(rewritten(request) + paths.split_target(outgoing.target)[1])
        return await inner(request)

    return call
