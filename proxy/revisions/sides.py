"""One side of a comparison: its routes by what they match, and who may call each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from proxy.config.load import Loaded
from proxy.config.matching import as_text, covers
from proxy.config.models import Access, Config, Entry, RouteSpec
from proxy.plugin.stages import Stage
from proxy.revisions.shown import Shown, flat

FALLBACK = "fallback"

_LETS_IN = frozenset({Stage.GUARD, Stage.AUTHENTICATE, Stage.AUTHORIZE})
"""Stages whose plugins may turn a caller away."""

Segments = tuple[str | None, ...]


class Reached(NamedTuple):
    """A route under one of its public prefixes."""

    key: str
    spec: RouteSpec
    prefix: str

    @property
    def segments(self) -> Segments:
        """The path's segments, None where any one matches."""
        return (*self.prefix.split("/")[1:], *self.spec.match.path.segments)


def named(entry: Entry) -> str:
    """Return the name of an entry, with the plugin where `as` gave it another."""
    if entry.identity == entry.plugin:
        return entry.plugin
    return f"{entry.identity} ({entry.plugin})"


class Side:
    """A configuration, and what a comparison asks of it. `label` names it."""

    def __init__(self, label: str, loaded: Loaded) -> None:
        """`loaded` has its config and its tree."""
        assert loaded.config is not None
        self.label = label
        self.config: Config = loaded.config
        self.shown = Shown(loaded)
        self._catalog = loaded.catalog
        self.routes: dict[str, Reached] = {}
        for each in self._reached():
            self.routes.setdefault(each.key, each)

    def _reached(self) -> Iterator[Reached]:
        for spec in self.config.routes:
            for prefix in spec.prefixes:
                yield Reached(as_text(prefix, spec.match), spec, prefix)
        if self.config.fallback is not None:
            yield Reached(FALLBACK, self.config.fallback, "")

    # -- who may call

    def entries(self, indexes: tuple[int, ...]) -> list[Entry]:
        """Return entries of the file."""
        return [self.config.entries[index] for index in indexes]

    def lets_in(self, spec: RouteSpec) -> list[Entry]:
        """Return all entries that may turn a caller of a route away, authenticators first."""
        return [*self.entries(spec.authenticators), *self._chain(spec, lets_in=True)]

    def others(self, spec: RouteSpec) -> list[Entry]:
        """Return the rest of a route's chain."""
        return self._chain(spec, lets_in=False)

    def _chain(self, spec: RouteSpec, *, lets_in: bool) -> list[Entry]:
        entries = self.entries(spec.chain)
        return [each for each in entries if (self._stage(each) in _LETS_IN) == lets_in]

    def _stage(self, entry: Entry) -> Stage:
        return self._catalog.named(entry.plugin, entry.use).stage

    def who(self, spec: RouteSpec) -> str:
        """Say who may call a route: public, the authenticators that are asked, and who else asks."""
        asked = " or ".join(named(each) for each in self.entries(spec.authenticators))
        told = {Access.PUBLIC: "public", Access.OPTIONAL: f"optional: {asked}"}
        more = [named(each) for each in self._chain(spec, lets_in=True)]
        return " + ".join([told.get(spec.access, asked), *more])

    def taker(self, narrow: Reached) -> Reached | None:
        """Return the route that takes all that `narrow` would if it were here, None for no such.

        Only paths whose segments are spelled alike are compared.
        """
        segments = narrow.segments
        if not narrow.spec.match.path.prefix:
            yes = self._first(self._exact.get(segments, []), narrow)
            if yes is not None:
                return yes
        for end in range(len(segments), -1, -1):
            yes = self._first(self._below.get(segments[:end], []), narrow)
            if yes is not None:
                return yes
        return None

    @staticmethod
    def _first(known: list[Reached], narrow: Reached) -> Reached | None:
        return next((each for each in known if covers(each.spec.match, narrow.spec.match)), None)

    @cached_property
    def _exact(self) -> dict[Segments, list[Reached]]:
        return self._by_segments(prefix=False)

    @cached_property
    def _below(self) -> dict[Segments, list[Reached]]:
        return self._by_segments(prefix=True)

    def _by_segments(self, *, prefix: bool) -> dict[Segments, list[Reached]]:
        found: dict[Segments, list[Reached]] = {}
        for each in self.routes.values():
            if each.spec.match.path.prefix == prefix:
                found.setdefault(each.segments, []).append(each)
        return found

    # -- what is set

    def target(self, spec: RouteSpec) -> str:
        """Return where a route sends requests."""
        upstream = self.config.upstreams[spec.upstream]
        told = dict(flat({"targets": upstream.targets}))["targets"]
        return ", ".join(f"{each}{upstream.path}" for each in told)

    def settings(self, name: str, value: Any) -> dict[str, Any]:
        """Return all settings below one field of a route or service."""
        return dict(flat({name: value}, upstreams=self.config.upstreams))
