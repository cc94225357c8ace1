"""Which of a route's upstreams a request goes to, where `split` names more than one.

Each is a way: the same route with another upstream, so that all that follows from the upstream, from
the path that is joined to the `Location` that comes back, follows the one that was chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from proxy.config.models import SplitSpec
from proxy.runtime.moving import client_cookies, drop_cookies
from proxy.runtime.router import holds

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange
    from proxy.runtime.route import Route
    from proxy.server.request import Request

Counts = Counter[tuple[str, str, str]]
"""Requests by service, upstream and class of the status."""


class Way:
    """One of a route's upstreams. `spec` is None for the route's own, which gets the rest."""

    __slots__ = ("_counts", "_service", "route", "spec")

    def __init__(self, route: Route, spec: SplitSpec | None, service: str, counts: Counts) -> None:
        self.route = route
        self.spec = spec
        self._service = service
        self._counts = counts

    def asked_for_by(self, request: Request) -> bool:
        """Tell whether the request itself asks for this way."""
        spec = self.spec
        if spec is None or not spec.asked_for:
            return False
        values = request.headers.getall
        if not all(holds(test, values) for test in spec.headers):
            return False
        cookies = client_cookies(request) if spec.cookies else {}
        return all(holds(test, cookies.get) for test in spec.cookies)

    def count(self, exchange: Exchange) -> None:
        """Count an exchange that is over."""
        digit = exchange.status // 100
        status_class = f"{digit}xx" if digit else "none"
        self._counts[self._service, self.route.upstream.name, status_class] += 1


class Chosen(NamedTuple):
    """A way and why: `reason` is request, share or rest; `point` is where the caller stands."""

    way: Way
    reason: str
    point: float | None = None


class Split:
    """The ways of one route. The choice is the same for one caller, as long as the shares are."""

    def __init__(self, name: str, rest: Way, others: Sequence[Way]) -> None:
        """`name` is what callers are spread by: routes of one name send each to the same side."""
        self.rest = rest
        self.others = tuple(others)
        self._name = name
        self._asked_for = tuple(way for way in others if way.spec and way.spec.asked_for)
        self._ranges = tuple(ranges(others))

    def choose(self, request: Request) -> Route:
        """Send a request its way: return the route that it goes on by, which is its own from now on.

        The caller must be known by now, where anybody asks.
        """
        way = self.chosen(request).way
        route = request.route = way.route
        request.exchange.on_finish(way.count)
        if way.spec is not None and not way.spec.keeps_cookies:
            drop_cookies(request)
        return route

    def chosen(self, request: Request) -> Chosen:
        """Return the way of a request, changing nothing."""
        for way in self._asked_for:
            if way.asked_for_by(request):
                return Chosen(way, "request")
        if not self._ranges:
            return Chosen(self.rest, "rest")
        point = place_of(self._name, request.exchange)
        for low, high, way in self._ranges:
            if low <= point < high:
                return Chosen(way, "share", point)
        return Chosen(self.rest, "rest", point)


def ranges(ways: Sequence[Way]) -> Iterator[tuple[float, float, Way]]:
    """Yield what part of [0, 1) each way takes: in turn from the left and from the right.

    So of two, either grows into what is the rest's alone, from 0 on. No layout can promise that for
    three.
    """
    left, right = 0.0, 1.0
    takers = [(way, way.spec.share) for way in ways if way.spec is not None]
    sharing = ((way, share) for way, share in takers if share is not None)
    for number, (way, share) in enumerate(sharing):
        if number % 2 == 0:
            yield left, left + share, way
            left += share
        else:
            # All of it, where the sum of the shares is a rounding error away from it.
            yield max(right - share, 0.0), right, way
            right -= share


def place_of(name: str, exchange: Exchange) -> float:
    """Return where a caller stands in [0, 1): by tenant and subject, else by the client's address.

    It depends on nothing else, so that workers, replicas and restarts agree.
    """
    principal = exchange.principal
    if principal is None:
        key = f"{name}\0address\0{exchange.client.address}"
    else:
        key = f"{name}\0principal\0{principal.tenant or ''}\0{principal.subject}"
    # Claims are JSON, which may hold surrogates that stand alone.
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)
