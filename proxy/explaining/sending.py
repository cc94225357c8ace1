"""The request as an upstream would get it, by the functions that send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.config.models import Balance
from proxy.explaining.caller import stand_in
from proxy.headers import LOWER, VIA, Field, decode, tokens
from proxy.paths import split_target
from proxy.runtime.forward import Body, body_to_send, request_head
from proxy.runtime.rewrite import rewritten

if TYPE_CHECKING:
    from proxy.runtime.route import Route
    from proxy.runtime.snapshot import Snapshot
    from proxy.server.request import Request


@dataclass(frozen=True, slots=True)
class Sent:
    """A field that is sent; `by` is client or gateway."""

    name: str
    value: str
    by: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A field of the client's that is not sent, or not whole.

    `reason` is one of those of `RequestRules.why_dropped`, or `named` for one that `Connection`
    names; `owners` are the plugins that protect it.
    """

    name: str
    value: str
    reason: str
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Aim:
    """A target that may be asked, and the `Host` that it would get.

    `nowhere` says of its name that it leads nowhere: a plugin puts another host in its place.
    """

    url: str
    host: str
    weight: int
    backup: bool
    nowhere: bool


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`aims` are the targets as they stand in the file; `balance` is how one of them is chosen."""

    method: str
    target: str
    balance: Balance
    aims: tuple[Aim, ...]
    sent: tuple[Sent, ...]
    dropped: tuple[Dropped, ...]
    body: Body


def outgoing(snapshot: Snapshot, request: Request) -> Outgoing:
    """Return what would be sent. Raises GatewayError where nothing would be."""
    if request.refused is not None:
        raise request.refused
    route: Route = request.route
    placeholders = _aim(request, route)
    body = body_to_send(request.exchange, route.retry)
    targets = route.upstream.targets
    heads = [request_head(request, request.exchange, one, body) for one in targets]
    line, _, *own = heads[0].split(b"\r\n")[:-2]
    method, target, _ = decode(line).split(" ")
    for mark, name in placeholders.items():
        target = target.replace(mark, name)
    return Outgoing(
        method,
        target,
        route.upstream.spec.balance,
        tuple(
            Aim(one.label, _host(head), one.spec.weight, one.spec.backup, one.spec.nowhere)
            for one, head in zip(targets, heads, strict=True)
        ),
        tuple(_sent(request, own)),
        tuple(_dropped(snapshot, request)),
        body,
    )


def _aim(request: Request, route: Route) -> dict[str, str]:
    """Put in the path that a late `rewrite` makes; return what stands in it for an unknown caller."""
    if not route.rewrites_late:
        return {}
    assert route.rewrite is not None
    exchange, marks = request.exchange, dict[str, str]()
    known = exchange.principal
    if known is None:
        exchange.principal, found = stand_in(route.rewrite.names)
        marks = dict(found)
    try:
        target = rewritten(request) + split_target(exchange.outgoing.target)[1]
    finally:
        exchange.principal = known
    exchange.outgoing.aim(target)
    return marks


def _host(head: bytes) -> str:
    return decode(head.split(b"\r\n", 2)[1].partition(b": ")[2])


def _sent(request: Request, lines: list[bytes]) -> list[Sent]:
    """Return the fields behind Host: first those that are the client's, then the gateway's."""
    passed = request.exchange.outgoing.wire_fields()
    makers = ["gateway" if field is VIA else "client" for field in passed]
    makers += ["gateway"] * (len(lines) - len(makers))
    fields = [decode(line).partition(": ") for line in lines]
    return [Sent(name, value, by) for (name, _, value), by in zip(fields, makers, strict=True)]


def _dropped(snapshot: Snapshot, request: Request) -> list[Dropped]:
    # Fields that are passed on are the very objects that came: equal ones may differ in that.
    passed = {id(field) for field in request.exchange.outgoing.wire_fields()}
    return [_why(snapshot, request, field) for field in request.fields if id(field) not in passed]


def _why(snapshot: Snapshot, request: Request, field: Field) -> Dropped:
    name = LOWER[field[0]]
    underscores = request.route.spec.allow_underscore_headers
    reason = snapshot.rules.why_dropped(name, underscores=underscores)
    passes = name == b"authorization" and not snapshot.rules.withheld.holds(field[1])
    if reason is None or passes:
        assert name in tokens(value for key, value in request.fields if LOWER[key] == b"connection")
        reason = "named"
    owners = _owners(snapshot, decode(name)) if reason == "protected" else ()
    return Dropped(decode(field[0]), decode(field[1]), reason, owners)


def _owners(snapshot: Snapshot, name: str) -> tuple[str, ...]:
    twin = name.replace("_", "-")
    found = (
        held.identity
        for held in snapshot.instances.held
        if twin in {one.lower().replace("_", "-") for one in held.plugin.protects}
    )
    return tuple(dict.fromkeys(found))
