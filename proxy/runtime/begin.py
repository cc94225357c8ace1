"""The first steps of a request: its path, its route, its client, and the outgoing request."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from proxy import paths
from proxy.config.models import Limits, Timeouts
from proxy.errors import GatewayError
from proxy.forwarded import client_of
from proxy.plugin.exchange import Client, Exchange
from proxy.plugin.outgoing import Outgoing
from proxy.plugin.values import render
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
    try:
        target = request.target
        host = request.headers.get("Host", "")
        if target[0] != "/":
            target, host = _reduce(request, target, host)
        raw_path, query = paths.split_target(target)
        found = snapshot.router.known(request.method, raw_path)
        if found is not None:
            candidate, path, sent_path = found
        else:
            path = paths.canonical(raw_path)
            page = snapshot.pages.get((request.method, path))
            if page is not None:
                _own_page(snapshot, connection, request, path, host, started)
                return page
            candidate, sent_path = _find(snapshot, request, raw_path, path)
        return _routed(
            snapshot,
            connection,
            request,
            candidate,
            path,
            raw_path,
            sent_path,
            query,
            host,
            started,
        )
    except GatewayError as error:
        return unrouted(snapshot, connection, request, error, started)


def _reduce(request: Request, target: str, host: str) -> tuple[str, str]:
    """Return an absolute target in origin-form and its authority, which wins over Host."""
    if target == "*" and request.method == "OPTIONS":
        return "/*", host
    try:
        parts = urlsplit(target)
    except ValueError:
        raise GatewayError("bad_path") from None
    if parts.scheme.lower() not in ("http", "https") or not is_host(parts.netloc):
        raise GatewayError("bad_path")
    behind = target.partition("//")[2][len(parts.netloc) :]
    return (behind if behind[:1] == "/" else "/" + behind), parts.netloc


def _find(
    snapshot: Snapshot, request: Request, raw_path: str, path: str
) -> tuple[Candidate, str | None]:
    method = request.method
    if method == "OPTIONS":
        # A preflight asks for the route that its real request will take.
        method = request.headers.get("Access-Control-Request-Method", method)
    candidate, certain = snapshot.router.find(path, method, request)
    if candidate is None:
        candidate, certain = snapshot.fallback, False
    if candidate is None:
        raise GatewayError("no_route")
    route = candidate.route
    if not route.spec.allow_encoded_slash and paths.has_encoded_separator(raw_path):
        raise GatewayError("bad_path")
    if route.rewrite is not None:
        return candidate, None
    stripped = paths.strip(raw_path, candidate.depth) if route.spec.strip else raw_path
    sent_path = paths.join(route.upstream.spec.path, stripped)
    if certain and request.method != "OPTIONS":
        snapshot.router.remember(request.method, raw_path, (candidate, path, sent_path))
    return candidate, sent_path


def _routed(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    candidate: Candidate,
    path: str,
    raw_path: str,
    sent_path: str | None,
    query: str,
    host: str,
    started: float,
) -> Handler:
    route = candidate.route
    client, chain = _client(snapshot, connection, request, host)
    fields, hops = snapshot.rules.judge(request.fields, route.spec)
    request.route = route
    prefix = request.prefix = candidate.prefix if route.spec.strip else ""
    request.forwarded_lines = connection.forwarded(chain, client, prefix, hops)
    outgoing = Outgoing(request.method, "", fields)
    request.attach(
        Exchange(route, client, outgoing, request.method, path, started, candidate.prefix)
    )
    if sent_path is None:
        sent_path = _rewritten(route, request, candidate, raw_path)
    outgoing.target = sent_path + query if query else sent_path
    if request.has_body:
        outgoing.carry(_upload(connection, request, route.limits, route.timeouts))
    if request.upgrading:
        if not route.spec.websocket:
            raise GatewayError("upgrade_refused")
        request.upgrade = True
    return route.chain


def _client(
    snapshot: Snapshot, connection: ClientConnection, request: Request, host: str
) -> tuple[Client, str]:
    """Return who the client is, and the X-Forwarded-For value that goes on."""
    peer = connection.address
    if peer not in snapshot.trusted:
        return connection.client(host), peer
    address, scheme, told, chain = client_of(peer, request.fields, snapshot.trusted)
    believed = told if told is not None and is_host(told) else host
    return Client(address, scheme or connection.scheme, believed, trusted=True), chain


def _rewritten(route: Route, request: Request, candidate: Candidate, raw_path: str) -> str:
    assert route.rewrite is not None
    base = route.upstream.spec.path
    written = render(route.rewrite, request, quote=True)
    pattern = route.spec.match.path
    rest = paths.strip(raw_path, candidate.depth + len(pattern.segments)) if pattern.prefix else ""
    return paths.join(base, written.rstrip("/") + rest if rest else written)


def _upload(
    connection: ClientConnection, request: Request, limits: Limits, timeouts: Timeouts
) -> ClientUpload:
    length = None if request.chunked else int(request.headers["Content-Length"])
    return ClientUpload(
        connection,
        request.content,
        length,
        request.exchange,
        limits,
        timeouts,
        expects="Expect" in request.headers,
    )


def _own_page(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    path: str,
    host: str,
    started: float,
) -> None:
    client, _ = _client(snapshot, connection, request, host)
    fields, _ = snapshot.rules.judge(request.fields, None)
    outgoing = Outgoing(request.method, request.target, fields)
    request.attach(Exchange(NO_ROUTE, client, outgoing, request.method, path, started))
    if request.has_body:
        outgoing.carry(_upload(connection, request, Limits(), Timeouts()))


def unrouted(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    error: GatewayError,
    started: float,
) -> Handler:
    """Attach an exchange that has no route and return the global chain, which ends in `error`."""
    client, _ = _client(snapshot, connection, request, request.headers.get("Host", ""))
    # An ambiguous path is not shown as if it had a canonical view.
    path = "" if error.code == "bad_path" else paths.split_target(request.target)[0]
    outgoing = Outgoing(request.method, path, [])
    exchange = Exchange(NO_ROUTE, client, outgoing, request.method, path, started)
    exchange.error = error
    request.route = None
    request.attach(exchange)
    return snapshot.refusing_chain
