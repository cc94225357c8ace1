"""Where in the files a route and its values were written: the tree, read again with its places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from proxy.config.formats import SERVICE_PREFIX
from proxy.config.models import Config, Place, RouteSpec
from proxy.config.tree import Mapping as Tree
from proxy.config.tree import Path, Scalar, Sequence, find, key_span, span_of


class Level(NamedTuple):
    """A part of the files that says something for a route; `name` is route, service or so."""

    name: str
    path: Path


class Origin(NamedTuple):
    """Who decided a value, and where; no place for what is built in."""

    level: str
    place: Place | None = None


BUILT_IN = Origin("built-in")


class Origins:
    """Finds what the files say for one route, innermost first."""

    def __init__(self, root: Tree, config: Config, spec: RouteSpec) -> None:
        self._root = root
        self.path = ("fallback",) if spec is config.fallback else _path_of(root, spec)
        self._own = list(self._levels(spec))

    def _levels(self, spec: RouteSpec) -> Iterator[Level]:
        if self.path[0] == "fallback":
            yield Level("fallback", self.path)
        elif "routes" in self.path:
            yield Level("route", self.path)
        if spec.service is not None:
            yield Level("service", ("services", spec.service))

    def of_block(self, block: str, *keys: str) -> Origin:
        """Return who decided a key of a block that merges: `timeouts`, `limits`, `retry`, `upstream`."""
        if block == "upstream":
            levels = list(self._upstreams(self._own))
        else:
            levels = [Level(one.name, (*one.path, block)) for one in self._own]
        return _first(self._root, [*levels, Level("defaults", ("defaults", block))], keys)

    def of_route(self, key: str) -> Origin:
        """Return who decided a key that stands alone, such as `public` or `strip`."""
        return _first(self._root, self._own, (key,))

    def target(self, number: int) -> Place | None:
        """Return where the address of a target was written, None where it can't be told."""
        for level in self._upstreams(self._own):
            node = find(self._root, level.path)
            if isinstance(node, Scalar):
                return node.span.place
            for tail in (("url",), ("targets", number)):
                if find(self._root, (*level.path, *tail)) is not None:
                    return span_of(self._root, (*level.path, *tail)).place
        return None

    def beside(self, key: str, *number: int) -> Place | None:
        """Return where the upstream of a route's `mirror`, or of an entry of its `split`, stands."""
        for level in self._own:
            if find(self._root, (*level.path, key)) is None:
                continue
            path: Path = (*level.path, key, *number, "upstream")
            for tail in (("url",), ("targets",), ()):
                if find(self._root, (*path, *tail)) is not None:
                    return span_of(self._root, (*path, *tail)).place
        return None

    def _upstreams(self, levels: list[Level]) -> Iterator[Level]:
        """Yield what is said of the upstream at each level; a reference leads to its service's."""
        for level in levels:
            path = self._upstream_path(level.path)
            node = find(self._root, path)
            if node is None:
                continue
            if isinstance(node, Scalar) and str(node.value).startswith(SERVICE_PREFIX):
                name = str(node.value).removeprefix(SERVICE_PREFIX)
                yield from self._upstreams([Level(f"service {name}", ("services", name))])
                return
            yield Level(level.name, path)

    def _upstream_path(self, path: Path) -> Path:
        """A service or the fallback may be its upstream's address alone."""
        return path if isinstance(find(self._root, path), Scalar) else (*path, "upstream")


_SHORT = frozenset({("health", "path"), ("balance", "policy")})
"""Keys that are what a text alone means, where a mapping could stand."""


def _first(root: Tree, levels: list[Level], keys: Path) -> Origin:
    for level in levels:
        path = (*level.path, *keys)
        if keys in _SHORT and isinstance(find(root, path[:-1]), Scalar):
            path = path[:-1]
        if find(root, path) is not None:
            return Origin(level.name, key_span(root, path).place)
    return BUILT_IN


def _path_of(root: Tree, spec: RouteSpec) -> Path:
    """Return the path of a route, by the place of its match; else of the service that it is."""
    service = ("services", spec.service) if spec.service is not None else ()
    below: Path = (*service, "routes")
    listed = find(root, below)
    number = len(listed.items) if isinstance(listed, Sequence) else 0
    for index in range(number):
        if key_span(root, (*below, index, "match")).place == spec.place:
            return (*below, index)
    return service
