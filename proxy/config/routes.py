"""Services, routes and the fallback: each route whole, with nothing left to look up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote as percent_encode

from proxy.config.access import (
    check_access,
    check_contradiction,
    check_never_asked,
    check_values,
)
from proxy.config.codes import Code
from proxy.config.levels import Level, Levels
from proxy.config.matching import compile_match
from proxy.config.models import Access, Cookies, Match, PathPattern, RouteSpec, ServiceSpec
from proxy.config.patterns import NO_EXPRESSION, literal_path, sign_of_expression
from proxy.config.settings import block_schema
from proxy.config.shaping import Shaping, all_upstreams, sticky_cookies, with_cookie_rule
from proxy.config.source import Span
from proxy.config.tree import Path, find
from proxy.config.upstreams import Upstreams, all_private
from proxy.config.watching import check_key, check_tries
from proxy.config.work import Work
from proxy.plugin.options import convert_text

ANYTHING = Match(PathPattern("/*", (), (), prefix=True))
"""What a service's own route and the fallback match."""

_SEPARATE = frozenset({"routes", "plugins", "skip"})
"""Keys of a service that may be wrong in part while the rest is still worth compiling."""


@dataclass(frozen=True)
class _Draft:
    """A route before it is whole. `what` names it in diagnostics, `span` is its place."""

    name: str
    what: str
    span: Span
    match: Match
    level: Level
    prefixes: tuple[str, ...] = ("",)
    service: str | None = None
    rewrite: tuple[str, ...] = ()


class Routes:
    """Compiles everything that has a route, outer levels first."""

    def __init__(self, work: Work, levels: Levels, upstreams: Upstreams, base_path: str) -> None:
        self.routes: list[RouteSpec] = []
        self.services: list[ServiceSpec] = []
        self.fallback: RouteSpec | None = None
        self._work = work
        self._levels = levels
        self._upstreams = upstreams
        self._shaping = Shaping(work, upstreams)
        self._base = base_path
        self._rewrite = block_schema("routes")["items"]["properties"]["rewrite"]

    def compile(self) -> None:
        """Compile all services, then the routes outside of them, then the fallback."""
        for name, given in self._part(self._work.data, "services", dict).items():
            self._service(name, given)
        for index, given in enumerate(self._part(self._work.data, "routes", list)):
            self._route(given, ("routes", index), self._levels.outer, None, ("",))
        self._compile_fallback()

    def _service(self, name: str, given: Any) -> None:
        path: Path = ("services", name)
        mapping = given if isinstance(given, dict) else {}
        upstream = self._upstreams.of_service(name) if self._usable(path, given) else None
        if upstream is None:
            return
        prefixes = self._prefixes(name, mapping.get("aliases", ()))
        span = self._decided(path)
        level = replace(self._levels.inner(self._levels.outer, mapping, path), upstream=upstream)
        level = self._shaping.laid(level, mapping, path, name)
        place = self._work.place(span)
        self.services.append(
            ServiceSpec(name, prefixes, upstream, place, level.timeouts, level.limits)
        )
        own = _Draft(name, f"service '{name}'", span, ANYTHING, level, prefixes, name)
        routes = self._part(mapping, "routes", list)
        catch_all = not any(_takes_all(route) for route in routes)
        told = catch_all and not self._check(own)
        for index, route in enumerate(routes):
            below: Path = (*path, "routes", index)
            self._route(route, below, level, name, prefixes, told=told)
        if catch_all:
            self._add(own)
        at = self._work.key(*path, "public")
        check_never_asked(self._work, own.what, mapping, level.chain, at)

    def _decided(self, path: Path) -> Span:
        """Return the place of a key; of its upstream, where another file lays that over it."""
        own = self._work.key(*path)
        for tail in (("upstream", "url"), ("upstream", "targets"), ("upstream",)):
            if find(self._work.root, (*path, *tail)) is not None:
                decided = self._work.key(*path, *tail)
                return own if decided.source is own.source else decided
        return own

    def _usable(self, path: Path, given: Any) -> bool:
        if isinstance(given, dict):
            parts = [(*path, key) for key in given if key not in _SEPARATE]
            return "upstream" in given and not any(part in self._work.broken for part in parts)
        return isinstance(given, str) and path not in self._work.broken

    def _route(
        self,
        given: Any,
        path: Path,
        outer: Level,
        service: str | None,
        prefixes: tuple[str, ...],
        *,
        told: bool = False,
    ) -> None:
        """Compile one route; `told` says that what its service lacks has been reported."""
        if path in self._work.broken:
            return
        name = given.get("name") or f"{service or ''}{given['match'].get('path', '/*')}"
        level = self._with_upstream(self._levels.inner(outer, given, path), given, path, name)
        if level is None:
            return
        level = self._shaping.laid(level, given, path, name)
        span = self._work.key(*path, "match")
        self._work.place(span, named="name" in given)
        match = compile_match(given["match"])
        if sign := sign_of_expression(match.path.text):
            message = f"route '{name}': {NO_EXPRESSION}"
            at = self._work.value(*path, "match", "path")
            hint = f"where '{sign}' is meant, write {percent_encode(sign)}"
            self._work.report.warn(Code.NO_PATTERN, message, at, hint)
        rewrite = convert_text(self._rewrite, given.get("rewrite", "")).names
        draft = _Draft(name, f"route '{name}'", span, match, level, prefixes, service, rewrite)
        if not told or {"public", "plugins", "skip"} & given.keys():
            self._check(draft)
        check_contradiction(self._work, draft.what, level.access, level.chain, span)
        self._add(draft)

    def _with_upstream(
        self, level: Level, given: Mapping[str, Any], path: Path, name: str
    ) -> Level | None:
        """Return the level with the route's own upstream, if it has one; None where it is wrong."""
        if "upstream" not in given:
            return level
        at = (*path, "upstream")
        index = self._upstreams.add(name, given["upstream"], at, level.upstream)
        return None if index is None else replace(level, upstream=index)

    def _compile_fallback(self) -> None:
        path: Path = ("fallback",)
        given = self._work.get("fallback")
        if given is None:
            return
        mapping = given if isinstance(given, dict) else {}
        at = (*path, "upstream") if mapping else path
        upstream = self._upstreams.add("fallback", mapping.get("upstream", given), at)
        if upstream is None:
            return
        inner = self._levels.inner(self._levels.outer, mapping, path)
        level, span = replace(inner, upstream=upstream), self._decided(path)
        draft = _Draft("fallback", "the fallback", span, ANYTHING, level)
        self._check(draft)
        check_contradiction(self._work, draft.what, level.access, level.chain, span)
        self.fallback = self._spec(draft)

    def _check(self, draft: _Draft) -> bool:
        """Report who may call and what values are missing; return whether nothing was wrong."""
        before, level = len(self._work.report), draft.level
        check_access(self._work, draft.what, level.access, level.chain, draft.span)
        values = (draft.rewrite, draft.match.path.names)
        check_values(self._work, draft.what, level.access, level.chain, *values, draft.span)
        for index in all_upstreams(level):
            balance = self._upstreams.specs[index].balance
            check_key(self._work, draft.what, level.access, balance, draft.span)
        check_tries(self._work, draft.what, level.retry, level.timeouts, draft.span)
        return len(self._work.report) == before

    def _add(self, draft: _Draft) -> None:
        self.routes.append(self._spec(draft))

    def _spec(self, draft: _Draft) -> RouteSpec:
        level = draft.level
        assert level.upstream is not None
        specs = self._upstreams.specs
        near = all_private(specs[level.upstream])
        split, mirror = with_cookie_rule(level, specs)
        public = level.access is Access.PUBLIC
        fields: dict[str, Any] = {
            "forward_cookies": Cookies.ALL if near else Cookies.NONE,
            "hidden_cookies": sticky_cookies(specs[index] for index in all_upstreams(level)),
            **level.switches,
        }
        return RouteSpec(
            name=draft.name,
            service=draft.service,
            place=self._work.place(draft.span),
            prefixes=draft.prefixes,
            match=draft.match,
            upstream=level.upstream,
            access=level.access,
            authenticators=() if public else level.chain.authenticators,
            chain=level.chain.order,
            timeouts=level.timeouts,
            limits=level.limits,
            retry=level.retry,
            split=split,
            mirror=mirror,
            **fields,
        )

    def _prefixes(self, name: str, aliases: Any) -> tuple[str, ...]:
        named = (alias if alias.startswith("/") else f"{self._base}/{alias}" for alias in aliases)
        return (f"{self._base}/{name}", *(literal_path(prefix) for prefix in named))

    def _part(self, above: Mapping[str, Any], key: str, kind: type) -> Any:
        """Return a section, parts of which may be broken; an empty one for another kind."""
        value = above.get(key)
        return value if isinstance(value, kind) else kind()


def _takes_all(route: Any) -> bool:
    """Whether a service's route leaves nothing to the service's own."""
    return isinstance(route, dict) and route.get("match") == {"path": "/*"}
