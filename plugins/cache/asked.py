"""A request as the cache sees it: what it asks for, for whom, and on which terms."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import hdrs, web

from plugins.cache.directives import Directives, parse, seconds
from plugins.cache.fields import Values, by_name
from plugins.cache.scopes import EVERYONE, Scope, scope_of
from plugins.cache.streams import speaks_of_stream
from proxy import Exchange

Resource = tuple[str, str]
"""Where the upstream is, and the raw path and query that it is asked for."""

Partition = tuple[tuple[str, ...], Scope]
"""The door by which a request came (route, scheme, host, prefix), and whom its answer is for."""

PASSING = frozenset({b"range", b"if-range", b"if-match", b"if-unmodified-since"})
"""Fields by which a request passes: ranges are the upstream's to cut, and the last two speak to it
alone (RFC 9111, 4.3.2)."""

_CONDITIONS = (b"if-none-match", b"if-modified-since")
_STRICT = frozenset({b"no-cache", b"max-age", b"min-fresh"})


class Asked:
    """One GET or HEAD. `values` are the fields that the upstream would see, before inner plugins."""

    __slots__ = (
        "conditional",
        "directives",
        "head",
        "own",
        "resource",
        "scope",
        "shared",
        "values",
    )

    def __init__(
        self,
        resource: Resource,
        door: tuple[str, ...],
        scope: Scope,
        values: Values,
        *,
        head: bool = False,
    ) -> None:
        self.resource = resource
        self.scope = scope
        self.own: Partition = (door, scope)
        self.shared: Partition = (door, EVERYONE)
        self.values = values
        self.head = head
        self.conditional = _CONDITIONS[0] in values or _CONDITIONS[1] in values
        control = values.get(b"cache-control")
        self.directives: Directives | None = None if control is None else parse(control)

    def takes(self, age: int, left: int) -> bool:
        """Tell whether the client takes a stored answer of this age that is fresh for `left` more.

        Both are in seconds (RFC 9111, 5.2.1). `max-age=0` asks for what is as new as can be.
        """
        directives = self.directives
        if directives is None:
            return True
        most, least = seconds(directives, b"max-age"), seconds(directives, b"min-fresh")
        return (
            b"no-cache" not in directives
            and (most is None or 0 < most >= age)
            and (least is None or left >= least)
        )

    def says(self, directive: bytes) -> bool:
        """Tell whether the client's Cache-Control has a directive."""
        return self.directives is not None and directive in self.directives

    @property
    def strict(self) -> bool:
        """Whether the client says how fresh it wants the answer."""
        return self.directives is not None and not _STRICT.isdisjoint(self.directives)

    @property
    def waits(self) -> bool:
        """Whether it may be answered by what another request brings. A stream may never end."""
        return not self.strict and not speaks_of_stream(self.values.get(b"accept", b""))

    @property
    def leads(self) -> bool:
        """Whether others may wait for the answer to this one: it asks for a whole one, and plainly."""
        return self.waits and not (self.head or self.conditional or self.directives)


def read(
    request: web.BaseRequest, exchange: Exchange, place: tuple[str, str], names: Collection[bytes]
) -> Asked | None:
    """Return what is asked, None for a request that passes by the cache.

    `place` is the destination and the name of its route, `names` are lower-case names of fields that
    hold credentials.
    """
    outgoing = exchange.outgoing
    fields = outgoing.wire_fields()
    values = by_name(fields)
    if (
        not PASSING.isdisjoint(values)
        or hdrs.UPGRADE in request.headers
        or request.body_exists
        or outgoing.method != exchange.method
    ):
        return None
    client = exchange.client
    door: tuple[str, ...] = (place[1], client.scheme, client.host, exchange.prefix)
    if client.trusted:
        # What a trusted proxy stripped stands in links that the upstream makes.
        door += tuple(request.headers.getall("X-Forwarded-Prefix", ()))
    scope = scope_of(exchange.principal, fields, values, names)
    resource = place[0], outgoing.target
    return Asked(resource, door, scope, values, head=outgoing.method == "HEAD")
