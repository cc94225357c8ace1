"""Names, prefixes and routes that stand in each other's way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from proxy.config.codes import Code
from proxy.config.matching import covers
from proxy.config.models import Gateway, Place, RouteSpec, ServiceSpec
from proxy.config.work import Work

Segments = tuple[str | None, ...]


@dataclass
class Collisions:
    """Looks over all services and routes once they are compiled, by their whole paths."""

    work: Work
    gateway: Gateway
    services: Sequence[ServiceSpec]
    routes: Sequence[RouteSpec]
    _owners: dict[Segments, ServiceSpec] = field(default_factory=dict)

    def report(self) -> None:
        """Report all collisions."""
        for service in self.services:
            for prefix in service.prefixes:
                self._take_prefix(service, prefix)
        names: dict[str, RouteSpec] = {}
        for route in self.routes:
            self._check_name(route, names)
            if route.service is None:
                self._check_outside(route)
        self._check_shadows()

    def _take_prefix(self, service: ServiceSpec, prefix: str) -> None:
        span, segments = self.work.spans[service.place], _split(prefix)
        if prefix == self.gateway.base_path:
            message = f"service '{service.name}' can't have all of {prefix}"
            self.work.report.error(Code.PATH, message, span, "the 'fallback' takes the rest")
            return
        first = self._owners.setdefault(segments, service)
        if first is service and service.prefixes.count(prefix) == 1:
            self._check_reserved(f"service '{service.name}'", segments, span.place)
        else:
            message = f"prefix {prefix} of service '{service.name}' is taken"
            hint = f"by '{first.name}' at {first.place}"
            self.work.report.error(Code.DUPLICATE, message, span, hint)

    def _check_name(self, route: RouteSpec, names: dict[str, RouteSpec]) -> None:
        """Names made from paths may repeat, as one path may have a route for each method."""
        first = names.setdefault(route.name, route)
        if first is not route and route.place in self.work.named and first.place in self.work.named:
            message = f"two routes are named '{route.name}'"
            self.work.report.error(
                Code.DUPLICATE, message, self.work.spans[route.place], f"first at {first.place}"
            )

    def _check_outside(self, route: RouteSpec) -> None:
        segments = route.match.path.segments
        self._check_reserved(f"route '{route.name}'", segments, route.place)
        owner = next(self._owners_above(segments), None)
        if owner is not None:
            message = f"route '{route.name}' is inside service '{owner.name}'"
            hint = f"write it under 'routes' of service '{owner.name}'"
            self.work.report.error(Code.PATH, message, self.work.spans[route.place], hint)

    def _owners_above(self, segments: Segments) -> Iterator[ServiceSpec]:
        """Find services whose prefix a path begins with; a `{name}` may stand for any segment."""
        for end in range(1, len(segments) + 1):
            if None not in segments[:end]:
                if found := self._owners.get(segments[:end]):
                    yield found
                continue
            for prefix, service in self._owners.items():
                if len(prefix) == end and _overlap(prefix, segments[:end]):
                    yield service

    def _check_reserved(self, what: str, segments: Segments, place: Place) -> None:
        base = _split(self.gateway.base_path)
        below = segments[len(base) : len(base) + 1]
        inside = len(below) == 1 and _overlap(base, segments[: len(base)])
        span = self.work.spans[place]
        if inside and str(below[0] or "").startswith("_"):
            message = f"{what}: {self.gateway.base_path}/_… is kept for the gateway's own pages"
            self.work.report.error(Code.PATH, message, span)
        if len(segments) == 1 and segments[0] in self.gateway.expose:
            message = f"{what}: /{segments[0]} is the gateway's own page, by gateway.expose"
            self.work.report.error(Code.PATH, message, span)

    def _check_shadows(self) -> None:
        """Among routes of one path, those with more predicates are asked first, then as listed."""
        groups: dict[tuple[Segments, bool], list[RouteSpec]] = defaultdict(list)
        for route in self.routes:
            pattern = route.match.path
            for segments in self._own_prefixes(route):
                groups[(*segments, *pattern.segments), pattern.prefix].append(route)
        shadowed: set[int] = set()
        for group in groups.values():
            ordered = sorted(group, key=lambda route: -route.match.predicates)
            for early, late in combinations(ordered, 2):
                self._check_pair(early, late, shadowed)

    def _own_prefixes(self, route: RouteSpec) -> Iterator[Segments]:
        """Leave out prefixes that another service has taken, which has been reported."""
        for segments in {_split(prefix) for prefix in route.prefixes}:
            owner = self._owners.get(segments)
            if route.service is None or (owner is not None and owner.name == route.service):
                yield segments

    def _check_pair(self, early: RouteSpec, late: RouteSpec, shadowed: set[int]) -> None:
        if id(late) not in shadowed and early is not late and covers(early.match, late.match):
            shadowed.add(id(late))
            message = (
                f"route '{late.name}' can never match: '{early.name}' at {early.place} takes it all"
            )
            self.work.report.error(Code.SHADOWED, message, self.work.spans[late.place])


def _split(prefix: str) -> tuple[str, ...]:
    return tuple(part for part in prefix.split("/") if part)


def _overlap(one: Segments, other: Segments) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(a is None or b is None or a == b for a, b in pairs)
