"""From a request to the route that takes it, in O(length of the path), however many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple, Protocol

from proxy.config.models import Match, ValueTest
from proxy.errors import GatewayError
from proxy.runtime.route import Route, literal_depth


class Values(Protocol):
    """Headers or query parameters, of which each name may have several."""

    def getall(self, key: str, default: list[str], /) -> Sequence[str]: ...


class Asked(Protocol):
    """What the predicates look at."""

    @property
    def headers(self) -> Values: ...

    @property
    def query(self) -> Values: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route under one of its public prefixes, with the rank that orders it among others.

    Lower ranks win: literal exact path, longest literal prefix, exact before `/*`, more predicates,
    listed order.
    """

    route: Route
    prefix: str
    depth: int
    rank: tuple[int, ...]
    methods: frozenset[str]
    match: Match
    plain: bool
    by_line: bool


class Miss(NamedTuple):
    """A predicate that a request fails: `kind` is method, host, header or query.

    `asked` is what would have held: one of several methods or hosts, or a test on values.
    """

    kind: str
    asked: frozenset[str] | tuple[str, ...] | ValueTest


Known = tuple[Candidate, str, str]
"""A candidate, the canonical path, and the path to send."""

MOST_KNOWN = 4096
LONGEST_KNOWN = 256
"""Clients choose paths: with longer ones, what is remembered could be made to fill the memory."""

MOST_LIKENED = 256
"""How many names are compared to find the one that was meant: a 404 must stay cheap."""


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    any: _Node | None = None
    exact: list[Candidate] = field(default_factory=list)
    below: list[Candidate] = field(default_factory=list)


class Router:
    """A tree of canonical segments. Built once; matching changes nothing."""

    def __init__(self) -> None:
        self._root = _Node()
        self._order = 0
        self._known: dict[str, Known] = {}

    def add(self, route: Route) -> None:
        """Add `route` under each of its prefixes."""
        self._order += 1
        for prefix in route.spec.prefixes or ("",):
            self._place(candidate_of(route, prefix, self._order))

    def _place(self, candidate: Candidate) -> None:
        pattern = candidate.match.path
        node = self._root
        for segment in (*candidate.prefix.split("/")[1:], *pattern.segments):
            if segment is None:
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.children.setdefault(segment, _Node())
        places = node.below if pattern.prefix else node.exact
        places.append(candidate)
        places.sort(key=lambda one: one.rank)

    def known(self, method: str, raw_path: str) -> Known | None:
        """Return what an equal request line led to before, where nothing else can change it."""
        return self._known.get(method + raw_path)

    def remember(self, method: str, raw_path: str, known: Known) -> None:
        """Keep what a request line leads to; when many different ones have come, forget all."""
        if len(raw_path) > LONGEST_KNOWN:
            return
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[method + raw_path] = known

    def find(
        self, path: str, method: str, host: str, request: Asked
    ) -> tuple[Candidate | None, bool]:
        """Return the winning candidate for a canonical path, None when no path matches.

        `host` is the authority that the client asked for. The flag tells whether path and method
        alone decided. Raises GatewayError `method_not_allowed` with `Allow` when a path matches and
        only methods fail.
        """
        found: list[Candidate] = []
        _collect(self._root, _segments(path), 1, found)
        if len(found) > 1:
            found.sort(key=lambda one: one.rank)
        certain = True
        for candidate in found:
            if candidate.plain or _takes(candidate, method, host, request):
                return candidate, certain and candidate.by_line
            certain = certain and candidate.by_line
        _refuse_method(found, method, host, request)
        return None, False

    def candidates(self, path: str) -> list[Candidate]:
        """Return all whose path matches a canonical path, in the order in which `find` asks them."""
        found: list[Candidate] = []
        _collect(self._root, _segments(path), 1, found)
        return sorted(found, key=lambda one: one.rank)

    def nearest(self, path: str) -> str:
        """Return the name of a route that `path` may have meant, "" where none is like it."""
        node, named = self._root, ""
        for segment in _segments(path)[1:]:
            below = node.children.get(segment) or node.any or _like(node, segment)
            if below is None:
                break
            node = below
            for candidate in (*node.exact, *node.below)[:1]:
                named = candidate.route.name
        return named

    def children(self) -> Iterable[dict[str, _Node]]:
        """Yield the tree's mappings, so that a large one can be taken apart in slices."""
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            waiting.extend(node.children.values())
            if node.any is not None:
                waiting.append(node.any)
            yield node.children


def candidate_of(route: Route, prefix: str, order: int) -> Candidate:
    """Return `route` as it stands under `prefix`, `order` telling where it was listed."""
    match = route.spec.match
    pattern = match.path
    depth = prefix.count("/")
    literal = depth + literal_depth(pattern)
    is_literal = not pattern.prefix and not pattern.names
    rank = (not is_literal, -literal, pattern.prefix, -match.predicates, order)
    methods = match.methods | {"HEAD"} if "GET" in match.methods else match.methods
    by_line = not (match.hosts or match.headers or match.query)
    return Candidate(
        route, prefix, depth, rank, methods, match, plain=by_line and not methods, by_line=by_line
    )


def _segments(path: str) -> list[str]:
    """Split a path at its slashes; one at its end makes no segment."""
    return (path[:-1] if path[-1:] == "/" else path).split("/")


def _like(node: _Node, segment: str) -> _Node | None:
    near = get_close_matches(segment[:64], islice(node.children, MOST_LIKENED), 1)
    return node.children[near[0]] if near else None


def _collect(node: _Node, segments: list[str], at: int, found: list[Candidate]) -> None:
    if node.below:
        found.extend(node.below)
    if at == len(segments):
        found.extend(node.exact)
        return
    child = node.children.get(segments[at])
    if child is not None:
        _collect(child, segments, at + 1, found)
    if node.any is not None:
        _collect(node.any, segments, at + 1, found)


def misses(candidate: Candidate, method: str, host: str, request: Asked) -> list[Miss]:
    """Return the predicates that keep a candidate from a request; none where it would take it."""
    match, headers, query = candidate.match, request.headers, request.query
    found = []
    if candidate.methods and method not in candidate.methods:
        found.append(Miss("method", candidate.methods))
    if match.hosts and not _host_matches(match.hosts, host):
        found.append(Miss("host", match.hosts))
    found += [Miss("header", test) for test in match.headers if not holds(test, headers.getall)]
    found += [Miss("query", test) for test in match.query if not holds(test, query.getall)]
    return found


def _takes(candidate: Candidate, method: str, host: str, request: Asked) -> bool:
    methods = candidate.methods
    return (not methods or method in methods) and _takes_but_method(candidate.match, host, request)


def _takes_but_method(match: Match, host: str, request: Asked) -> bool:
    if match.hosts and not _host_matches(match.hosts, host):
        return False
    if match.headers and not all(holds(test, request.headers.getall) for test in match.headers):
        return False
    return not match.query or all(holds(test, request.query.getall) for test in match.query)


def holds(test: ValueTest, values_of: Callable[[str, list[str]], Sequence[str]]) -> bool:
    """Tell whether the values that a request has of a name pass a test."""
    values = values_of(test.name, [])
    if not test.present:
        return not values
    if test.value is None:
        return bool(values)
    if test.prefix:
        return any(value.startswith(test.value) for value in values)
    return test.value in values


def _host_matches(hosts: tuple[str, ...], sent: str) -> bool:
    """Compare by name: a port says nothing of the site, a dot at the end only that it is whole."""
    host = sent.lower()
    name, _, port = host.rpartition(":")
    bare = (name if port.isdigit() else host).removesuffix(".")
    return any(
        bare.endswith(wanted[1:]) and len(bare) >= len(wanted)
        if wanted.startswith("*.")
        else bare == wanted
        for wanted in hosts
    )


def _refuse_method(found: list[Candidate], method: str, host: str, request: Asked) -> None:
    allowed = {
        name
        for candidate in found
        if candidate.methods and method not in candidate.methods
        if _takes_but_method(candidate.match, host, request)
        for name in candidate.methods
    }
    if allowed:
        raise GatewayError("method_not_allowed", headers={"Allow": ", ".join(sorted(allowed))})
