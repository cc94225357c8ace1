"""The first steps of a request: its path, its route, its client, and the outgoing request."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp.http import HttpVersion11

from proxy import paths
from proxy.config.models import Limits, Timeouts
from proxy.errors import GatewayError
from proxy.forwarded import client_of
from proxy.headers import VIA
from proxy.plugin.exchange import Client, Exchange
from proxy.plugin.outgoing import Outgoing
from proxy.runtime.rewrite import rewritten
from proxy.runtime.route import NO_ROUTE
from proxy.server.checks import is_host
from proxy.server.upload import ClientUpload

if TYPE_CHECKING:
    from proxy.plugin.base import Handler
    from proxy.runtime.route import Route
    from proxy.runtime.router import Candidate, Router
    from proxy.runtime.snapshot import Snapshot
    from proxy.server.protocol import ClientConnection
    from proxy.server.request import Request

    Caller = tuple[Client, str, str]
    """The client, the X-Forwarded-For value that goes on, the prefix that was stripped before."""

    Found = tuple[Candidate, str, str | None]
    """A candidate, the canonical path, and the path to send, None where the route rewrites it."""


def begin(snapshot: Snapshot, connection: ClientConnection, request: Request) -> Handler:
    """Attach an exchange to `request` and return the chain that takes it.

    Nothing is raised: what can't be routed gets the chain that answers with its error.
    """
    started = perf_counter()
    method = request.method
    try:
        # 1. the target in origin-form, and the authority that was asked for
        target = request.target
        host = request.headers.get("Host", "")
        if target[0] != "/":
            target, host = _reduce(target, host)
        raw_path, query = paths.split_target(target)
        # 2. who came, as it is believed
        caller = _caller(snapshot, connection, request, host)
        # 3. the route
        found: Found | None = snapshot.router.known(method, raw_path)
        if found is None:
            path = paths.canonical(raw_path) if raw_path != "*" else raw_path
            page = snapshot.pages.get((method, path))
            if page is not None:
                _own_page(snapshot, connection, request, path, caller[0], started)
                return page
            found = _find(snapshot, request, raw_path, path, caller[0].host)
        # 4. the exchange
        return _routed(snapshot, connection, request, found, raw_path, query, caller, started)
    except GatewayError as error:
        # A connection whose framing is in doubt serves nothing more.
        connection.closing = connection.closing or error.code == "bad_framing"
        return unrouted(snapshot, connection, request, error, started)


def _reduce(target: str, host: str) -> tuple[str, str]:
    """Return an absolute target in origin-form and its authority, which wins over Host.

    "*" stays: the parser takes it with OPTIONS alone, and the gateway's own page answers it.
    """
    if target == "*":
        return target, host
    try:
        parts = urlsplit(target)
    except ValueError:
        raise GatewayError("bad_path") from None
    if parts.scheme.lower() not in ("http", "https") or not is_host(parts.netloc):
        raise GatewayError("bad_path")
    behind = target.partition("//")[2][len(parts.netloc) :]
    return (behind if behind[:1] == "/" else "/" + behind), parts.netloc


def _asked(request: Request) -> tuple[str, str]:
    """Return what `_reduce` does of a request that is refused, as far as it can be known."""
    host = request.headers.get("Host", "")
    try:
        return (
            _reduce(request.target, host) if request.target[:1] != "/" else (request.target, host)
        )
    except GatewayError:
        return request.target, host


def _caller(
    snapshot: Snapshot, connection: ClientConnection, request: Request, host: str
) -> Caller:
    peer = connection.address
    if not snapshot.trusts or peer not in snapshot.trusted:
        return connection.client(host), peer, ""
    told = client_of(peer, request.fields, snapshot.trusted)
    believed = told.host if told.host is not None and is_host(told.host) else host
    client = Client(told.address, told.scheme or connection.scheme, believed, trusted=True)
    return client, told.chain, told.prefix


def _find(snapshot: Snapshot, request: Request, raw_path: str, path: str, host: str) -> Found:
    method = request.method
    if method == "OPTIONS":
        method = method_asked_for(request)
    router = snapshot.router
    candidate, certain = router.find(path, method, host, request)
    if candidate is None:
        candidate, certain = snapshot.fallback, False
    if candidate is None:
        raise GatewayError("no_route", log=_nearest(router, path))
    route = candidate.route
    if not route.spec.allow_encoded_slash and paths.has_encoded_separator(raw_path):
        raise GatewayError("bad_path")
    if route.rewrite is not None:
        return candidate, path, None
    stripped = paths.strip(raw_path, candidate.depth) if route.spec.strip else raw_path
    sent_path = paths.join(route.upstream.spec.path, stripped)
    # Below "/_" a plugin may open a page later.
    if certain and request.method != "OPTIONS" and "/_" not in path:
        router.remember(request.method, raw_path, (candidate, path, sent_path))
    return candidate, path, sent_path


def route_for(snapshot: Snapshot, request: Request, path: str) -> Route | None:
    """Return the route that a GET of `path` with the other facts of `request` would take, or None."""
    host = request.exchange.client.host
    candidate, _ = snapshot.router.find(paths.canonical(path), "GET", host, request)
    found = candidate or snapshot.fallback
    return None if found is None else found.route


def method_asked_for(request: Request) -> str:
    """Return the method that routes are asked for: of a preflight, that of its real request."""
    method = request.method
    if method != "OPTIONS":
        return method
    return request.headers.get("Access-Control-Request-Method", method)


def _nearest(router: Router, path: str) -> str:
    name = router.nearest(path)
    return f"nearest route: {name}" if name else ""


def _routed(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    found: Found,
    raw_path: str,
    query: str,
    caller: Caller,
    started: float,
) -> Handler:
    if len(snapshot.serving) >= snapshot.most:
        raise GatewayError("overloaded")
    if query and "#" in query:
        # Predicates stop reading at it, and the upstream might not (RFC 9112, 3.2.1).
        raise GatewayError("bad_path")
    candidate, path, sent_path = found
    client, chain, outer = caller
    route = candidate.route
    spec = route.spec
    rules = snapshot.rules
    fields, hops = rules.judge(request, spec)
    if query and rules.withheld.query and not spec.forward_token:
        query = rules.withheld.without(query)
    if spec.via:
        fields.append(VIA)
    request.route = route
    prefix = request.prefix = outer + candidate.prefix if spec.strip else outer
    request.forwarded_lines = connection.forwarded(chain, client, prefix, hops)
    method = request.method
    outgoing = Outgoing(method, "", fields)
    request.attach(Exchange(route, client, outgoing, method, path, started, candidate.prefix))
    if sent_path is None:
        sent_path = _rewritten(request, candidate, raw_path)
    outgoing.aim(sent_path + query if query else sent_path)
    if request.uploads:
        outgoing.carry(_upload(connection, request, route.limits, route.timeouts))
    if request.upgrading:
        request.upgrade = spec.websocket
        if not spec.websocket:
            request.refused = GatewayError("upgrade_refused")
    return route.chain


def _rewritten(request: Request, candidate: Candidate, raw_path: str) -> str:
    """Return the path to send; it is the client's own until the chain knows whom it names."""
    request.rewrites = candidate, raw_path
    if not candidate.route.rewrites_late:
        try:
            return rewritten(request)
        except GatewayError as error:
            request.refused = error
    return raw_path


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
        # Of HTTP/1.0 an expectation is ignored (RFC 9110, 10.1.1).
        expects="Expect" in request.headers and request.version == HttpVersion11,
    )


def _own_page(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    path: str,
    client: Client,
    started: float,
) -> None:
    fields, _ = snapshot.rules.judge(request, None)
    outgoing = Outgoing(request.method, request.target, fields)
    request.attach(Exchange(NO_ROUTE, client, outgoing, request.method, path, started))
    if request.uploads:
        outgoing.carry(_upload(connection, request, Limits(), Timeouts()))


def unrouted(
    snapshot: Snapshot,
    connection: ClientConnection,
    request: Request,
    error: GatewayError,
    started: float,
) -> Handler:
    """Attach an exchange that has no route and return the global chain, which ends in `error`."""
    target, host = _asked(request)
    client = _caller(snapshot, connection, request, host)[0]
    # An ambiguous path is not shown as if it had a canonical view.
    path = "" if error.code == "bad_path" else paths.split_target(target)[0]
    outgoing = Outgoing(request.method, path, [])
    exchange = Exchange(NO_ROUTE, client, outgoing, request.method, path, started)
    exchange.error = error
    request.route = None
    request.attach(exchange)
    return snapshot.refusing_chain
