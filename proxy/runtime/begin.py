"""The first steps of a request: its path, its route, its client, and the outgoing request."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from proxy import paths
from proxy.config.models import Limits, Timeouts
from proxy.errors import GatewayError
from proxy.forwarded import client_of, forwarded_lines
from proxy.headers import Field
from proxy.plugin.exchange import EXCHANGE, Client, Exchange
from proxy.plugin.outgoing import Outgoing
from proxy.plugin.values import render
from proxy.runtime.passage import Passage
from proxy.runtime.route import NO_ROUTE, Route
from proxy.server.checks import is_host
from proxy.server.upload import ClientUpload

if TYPE_CHECKING:
    from proxy.plugin.base import Handler
    from proxy.runtime.router import Candidate
    from proxy.runtime.snapshot import Snapshot
    from proxy.server.protocol import ClientConnection
    from proxy.server.request import Request


def begin(snapshot: Snapshot, connection: ClientConnection, request: Request) -> Handler:
    """Attach an exchange to `request` and return the chain that takes it.

    Nothing is raised: what can't be routed gets the chain that answers with its error.
    """
    started = perf_counter()
    method = request.method
    try:
        target, host = _reduce(request)
        raw_path, query = paths.split_target(target)
        path = paths.canonical(raw_path)
    except GatewayError as error:
        return unrouted(snapshot, connection, request, error, started)
    client, chain = client_at(snapshot, connection, request.fields, host)
    try:
        candidate, page = _find(snapshot, path, method, request)
        if candidate is None:
            return _own_page(snapshot, connection, request, path, client, started, page)
        return _routed(
            snapshot, connection, request, candidate, (raw_path, query, path), client, chain, started
        )
    except GatewayError as error:
        return unrouted(snapshot, connection, request, error, started, path=path, client=client)


def _reduce(request: Request) -> tuple[str, str]:
    """Return the target in origin-form and the authority, which an absolute target names itself."""
    target = request.target
    if target[:1] == "/":
        return target, request.headers.get("Host", "")
    if target == "*" and request.method == "OPTIONS":
        return target, request.headers.get("Host", "")
    try:
        parts = urlsplit(target)
    except ValueError:
        raise GatewayError("bad_path") from None
    if parts.scheme.lower() not in ("http", "https") or not is_host(parts.netloc):
        raise GatewayError("bad_path")
    behind = target.partition("//")[2][len(parts.netloc) :]
    return (behind if behind[:1] == "/" else "/" + behind), parts.netloc


def client_at(
    snapshot: Snapshot, connection: ClientConnection, fields: Sequence[Field], host: str
) -> tuple[Client, str]:
    """Return who the client is, and the X-Forwarded-For value that goes on."""
    peer = connection.address
    if peer not in snapshot.trusted:
        return Client(peer, connection.scheme, host), peer
    address, scheme, told_host, chain = client_of(peer, fields, snapshot.trusted)
    believed_host = told_host if told_host is not None and is_host(told_host) else host
    return Client(address, scheme or connection.scheme, believed_host, trusted=True), chain


def _find(
    snapshot: Snapshot, path: str, method: str, request: Request
) -> tuple[Candidate | None, Handler | None]:
    page = snapshot.pages.get((method, path))
    if page is not None:
        return None, page
    if method == "OPTIONS":
        # A preflight asks for the route that its real request will take.
        method = request.headers.get("Access-Control-Request-Method", method)
    candidate = snapshot.router.find(path, method, request) or snapshot.fallback
    if candidate is None:
        raise GatewayError("no_route")
    return candidate, None


def _routed(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    candidate: Candidate,
    asked: tuple[str, str, str],
    client: Client,
    chain: str,
    started: float,
) -> Handler:
    raw_path, query, path = asked
    route = candidate.route
    spec = route.spec
    if not spec.allow_encoded_slash and paths.has_encoded_separator(raw_path):
        raise GatewayError("bad_path")
    fields, hops = snapshot.rules.judge(request.fields, spec)
    public = candidate.prefix if spec.strip else ""
    passage = request.passage = Passage(
        route, public, connection.forwarded(chain, client, public, hops), snapshot.tasks
    )
    passage.wants_trailers = "TE" in request.headers and "trailers" in request.headers["TE"].lower()
    outgoing = Outgoing(request.method, "", fields)
    exchange = Exchange(
        route, client, outgoing, "", request.method, path, started, candidate.prefix
    )
    request[EXCHANGE] = exchange
    outgoing.target = _target(route, request, candidate, raw_path) + query
    if request.has_body:
        outgoing.carry(
            ClientUpload.of(connection, request, exchange, route.limits, route.timeouts)
        )
    if request.upgrading:
        if not spec.websocket:
            raise GatewayError("upgrade_refused")
        passage.upgrade = True
    return route.chain


def _target(route: Route, request: Request, candidate: Candidate, raw_path: str) -> str:
    base = route.upstream.spec.path
    if route.rewrite is None:
        return paths.join(base, paths.strip(raw_path, candidate.depth) if route.spec.strip else raw_path)
    pattern = route.spec.match.path
    written = render(route.rewrite, request, quote=True)
    if not pattern.prefix:
        return paths.join(base, written)
    rest = paths.strip(raw_path, candidate.depth + len(pattern.segments))
    return paths.join(base, written.rstrip("/") + rest if rest else written)


def _own_page(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    path: str,
    client: Client,
    started: float,
    page: Handler | None,
) -> Handler:
    assert page is not None
    fields, _ = snapshot.rules.judge(request.fields, None)
    outgoing = Outgoing(request.method, request.target, fields)
    request[EXCHANGE] = Exchange(NO_ROUTE, client, outgoing, "", request.method, path, started)
    if request.has_body:
        outgoing.carry(
            ClientUpload.of(connection, request, request[EXCHANGE], Limits(), Timeouts())
        )
    return page


def unrouted(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    error: GatewayError,
    started: float,
    *,
    path: str = "",
    client: Client | None = None,
) -> Handler:
    """Attach an exchange that has no route and return the global chain, which ends in `error`."""
    if client is None:
        client = Client(connection.address, connection.scheme, "")
    exchange = Exchange(
        NO_ROUTE, client, Outgoing(request.method, path, []), "", request.method, path, started
    )
    exchange.error = error
    request.passage = None
    request[EXCHANGE] = exchange
    return snapshot.refusing_chain
