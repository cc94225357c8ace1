"""All that can be said of one request, found in the order in which the gateway comes to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, cast

from proxy.config.models import Config, RouteSpec
from proxy.config.private import private_values
from proxy.config.tree import Mapping as Tree
from proxy.errors import GatewayError
from proxy.explaining.answering import Pages, refusal
from proxy.explaining.chain import order, steps
from proxy.explaining.facts import Explanation, Taken
from proxy.explaining.hearing import Heard, hearing
from proxy.explaining.masks import Masks, from_environment
from proxy.explaining.matching import Rival, canonical, rivals, winner_of
from proxy.explaining.origins import Origins
from proxy.explaining.question import Question, written
from proxy.explaining.retries import retries
from proxy.explaining.sending import Outgoing, outgoing
from proxy.explaining.settings import settings
from proxy.explaining.shaping import mirrored, parted
from proxy.plugin.base import Authenticator
from proxy.plugin.claims import principal_of
from proxy.plugin.principal import Principal
from proxy.runtime.begin import begin, method_asked_for, unrouted
from proxy.runtime.shared import Shared
from proxy.runtime.snapshot import Snapshot
from proxy.tasks import Tasks

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.answer import Answer
    from proxy.plugin.catalog import Catalog
    from proxy.plugin.context import GatewayStatus
    from proxy.runtime.route import Route
    from proxy.server.request import Request


@dataclass(frozen=True, slots=True)
class Files:
    """A configuration and what it was made of; `root` has the places of all values."""

    config: Config
    root: Tree
    environment: Mapping[str, str]
    catalog: Catalog


async def explain(files: Files, question: Question, pages: Pages) -> tuple[Explanation, Masks]:
    """Return what would become of a request, and what hides of it what nobody may read.

    Raises ValueError for a question that is no request, or whose claims say of nobody; ConfigError
    where a plugin can't be made.
    """
    gateway = files.config.gateway
    raw = written(question, gateway)
    snapshot = Snapshot(files.config, Shared(), Tasks())
    unread = dict.fromkeys(pages, _no_page)
    await snapshot.build(files.catalog, None, _no_status, unread, set_up=False)
    masks = _masks(files, snapshot)
    async with hearing(gateway, raw, question.address) as heard:
        _begin(snapshot, heard)
        return _explained(files, snapshot, heard, question, pages, masks), masks


def _no_status() -> GatewayStatus:
    raise AssertionError("only a plugin that is set up asks for it")


async def _no_page(_request: web.BaseRequest) -> Answer:
    raise AssertionError("nothing is answered")


def _masks(files: Files, snapshot: Snapshot) -> Masks:
    private = private_values(files.config, files.catalog)
    authenticators = (
        held.plugin for held in snapshot.instances.held if isinstance(held.plugin, Authenticator)
    )
    owned = {
        name
        for plugin in authenticators
        for name in (*plugin.protects, *plugin.protects_cookies, *plugin.protects_query)
    }
    return Masks({*private, *from_environment(files.root, files.environment)}, owned)


def _begin(snapshot: Snapshot, heard: Heard) -> None:
    connection, request, refused = heard
    if refused is None:
        begin(snapshot, connection, request)
    else:
        unrouted(snapshot, connection, request, refused, perf_counter())


def _explained(
    files: Files,
    snapshot: Snapshot,
    heard: Heard,
    question: Question,
    pages: Pages,
    masks: Masks,
) -> Explanation:
    request, understood = heard.request, heard.error is None
    exchange = request.exchange
    found = rivals(snapshot, request)
    taken = _taken(files, snapshot, request, found)
    exchange.principal = _principal(question, snapshot, taken)
    # Before plugins are asked: one may touch what it looks at.
    sent, failure, taken = _sent(files, snapshot, request, taken)
    answer = refusal(snapshot, request, pages)
    running = order(snapshot, request, heard=understood)
    return Explanation(
        question=question,
        client=exchange.client,
        path=canonical(request),
        method=method_asked_for(request) if understood else question.method,
        answer=answer or failure,
        page=taken is None and answer is None,
        plugin_page=exchange.path.startswith(f"{files.config.gateway.base_path}/_"),
        taken=taken,
        rivals=tuple(found),
        nearest=None if found else _nearest(snapshot, request),
        principal=exchange.principal,
        chain=tuple(steps(snapshot, request, running, partial(masks.line, request=request))),
        outgoing=sent,
        retries=() if sent is None else tuple(retries(request, sent.body)),
    )


def _taken(files: Files, snapshot: Snapshot, request: Request, found: list[Rival]) -> Taken | None:
    candidate = winner_of(snapshot, request, found)
    if candidate is None:
        return None
    spec, upstream = candidate.route.spec, candidate.route.upstream.spec
    origins = Origins(files.root, files.config, spec)
    named = {name: request.exchange.path_value(name) for name in spec.match.path.names}
    return Taken(
        candidate=candidate,
        fallback=candidate is snapshot.fallback,
        authenticators=tuple(files.config.entries[at].identity for at in spec.authenticators),
        access=origins.of_route("public"),
        values={name: value for name, value in named.items() if value is not None},
        targets=tuple(origins.target(number) for number in range(len(upstream.targets))),
        settings=tuple(settings(spec, upstream, origins)),
    )


def _principal(question: Question, snapshot: Snapshot, taken: Taken | None) -> Principal | None:
    """Return who the caller is taken for; nobody asks on a public route.

    Of several authenticators the first one that reads claims in a way of its own is believed: what
    they mean to an API key is nothing.
    """
    if question.claims is None:
        return None
    held = snapshot.instances.held
    asked = () if taken is None else taken.candidate.route.spec.authenticators
    ways = [(held[at].identity, cast("Authenticator", held[at].plugin)) for at in asked]
    if not ways:
        principal_of(question.claims)
        return None
    own = (way for way in ways if type(way[1]).principal_of is not Authenticator.principal_of)
    identity, plugin = next(own, ways[0])
    return replace(plugin.principal_of(question.claims), by=identity)


def _sent(
    files: Files, snapshot: Snapshot, request: Request, taken: Taken | None
) -> tuple[Outgoing | None, GatewayError | None, Taken | None]:
    """Return what is sent, why nothing is, and the route with the way that the request goes."""
    if request.route is None or taken is None:
        return None, None, taken
    taken = _shaped(files, request, taken)
    try:
        return outgoing(snapshot, request), None, taken
    except GatewayError as error:
        return None, error, taken


def _shaped(files: Files, request: Request, taken: Taken) -> Taken:
    """Send the request its way, where its route has several upstreams, or copies."""
    whole: Route = request.route
    if whole.split is None and whole.mirror is None:
        return taken
    origins = Origins(files.root, files.config, whole.spec)
    split = parted(request, origins)
    targets = taken.targets
    if split is not None and whole.upstream is not request.route.upstream:
        targets = (split.chosen.place,) * len(request.route.upstream.targets)
    copies = mirrored(request, whole, origins)
    return replace(taken, split=split, mirror=copies, targets=targets)


def _nearest(snapshot: Snapshot, request: Request) -> RouteSpec | None:
    path = canonical(request)
    name = snapshot.router.nearest(path) if path is not None else ""
    return next((route for route in snapshot.config.routes if route.name == name), None)
