"""What differs between two configurations by their meaning: comments, order and spelling don't.

Who may call comes first: access, the authenticators and all in front of a route that may turn a
caller away, their options, whose forwarded addresses are believed, and who reads operators' pages.
A new route is told there when anybody may call it or another route let others in before; a route
that is gone when another takes its paths and lets others in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from proxy.config.models import Access, Entry, RouteSpec, ServiceSpec
from proxy.revisions.shown import flat
from proxy.revisions.sides import Reached, Side

WHO = "who may call"
NOBODY = "no route"

_APART = frozenset({"place", "prefixes", "match", "access", "authenticators", "chain"})
"""Fields of a route that are compared in their own way, or say nothing of what it does."""

_OF_SERVICE = frozenset({"place", "name"})
_ACCESS_OF_GATEWAY = ("gateway.trusted_proxies", "gateway.expose")


class Change(NamedTuple):
    """One setting and its two values as texts, None where it is not set."""

    what: str
    old: str | None
    new: str | None


class Found(NamedTuple):
    """A change, and all routes that it is one of; none for the process itself."""

    change: Change
    routes: tuple[str, ...] = ()


class Told(NamedTuple):
    """A route that only one side has."""

    route: str
    upstream: str
    who: str


@dataclass
class Difference:
    """All that differs. `access` is who may call; `changed` is all else of routes."""

    access: list[Found] = field(default_factory=list)
    added: list[Told] = field(default_factory=list)
    removed: list[Told] = field(default_factory=list)
    changed: list[Found] = field(default_factory=list)
    process: list[Found] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many differences there are."""
        parts = (self.access, self.added, self.removed, self.changed, self.process)
        return sum(len(part) for part in parts)


def compare(old: Side, new: Side) -> Difference:
    """Return what differs from `old` to `new`."""
    return _Comparison(old, new).run()


class _Comparison:
    def __init__(self, old: Side, new: Side) -> None:
        self._old = old
        self._new = new
        self._access: dict[Change, dict[str, None]] = {}
        self._changed: dict[Change, dict[str, None]] = {}
        self._pairs: dict[tuple[int, int], list[Change]] = {}

    def run(self) -> Difference:
        found = Difference()
        for key in dict.fromkeys((*self._old.routes, *self._new.routes)):
            was, now = self._old.routes.get(key), self._new.routes.get(key)
            if was and now:
                self._route(key, was.spec, now.spec)
            elif now:
                found.added.append(self._told(self._new, now))
                self._came(now)
            elif was:
                found.removed.append(self._told(self._old, was))
                self._went(was)
        self._services()
        self._without_route()
        found.access = _found(self._access)
        found.changed = _found(self._changed)
        for change in self._process():
            own = change.what.startswith(_ACCESS_OF_GATEWAY)
            (found.access if own else found.process).append(Found(change))
        return found

    # -- routes

    def _route(self, key: str, was: RouteSpec, now: RouteSpec) -> None:
        for change in self._who(was, now):
            self._access.setdefault(change, {})[key] = None
        others = self._entries("plugins", self._old.others(was), self._new.others(now))
        for change in (*others, *self._settings(was, now, _APART)):
            self._changed.setdefault(change, {})[key] = None

    def _who(self, was: RouteSpec, now: RouteSpec) -> Iterator[Change]:
        before, after = self._old.who(was), self._new.who(now)
        if before != after:
            yield Change(WHO, before, after)
        yield from self._entries("", self._old.lets_in(was), self._new.lets_in(now))

    def _came(self, now: Reached) -> None:
        taker = self._old.taker(now)
        after = self._new.who(now.spec)
        if taker is None:
            if now.spec.access is not Access.REQUIRED:
                self._access.setdefault(Change(WHO, NOBODY, after), {})[now.key] = None
        elif self._differs(taker.spec, now.spec):
            before = f"{self._old.who(taker.spec)} (by {taker.key})"
            self._access.setdefault(Change(WHO, before, after), {})[now.key] = None

    def _went(self, was: Reached) -> None:
        taker = self._new.taker(was)
        if taker is not None and self._differs(was.spec, taker.spec):
            after = f"{self._new.who(taker.spec)} (by {taker.key})"
            change = Change(WHO, self._old.who(was.spec), after)
            self._access.setdefault(change, {})[was.key] = None

    def _differs(self, was: RouteSpec, now: RouteSpec) -> bool:
        return any(True for _ in self._who(was, now))

    @staticmethod
    def _told(side: Side, reached: Reached) -> Told:
        return Told(reached.key, side.target(reached.spec), side.who(reached.spec))

    # -- plugins

    def _entries(self, label: str, was: Sequence[Entry], now: Sequence[Entry]) -> Iterator[Change]:
        """Yield other names or another order, under `label` if it has one, and other options."""
        before, after = [each.plugin for each in was], [each.plugin for each in now]
        if label and before != after:
            yield Change(label, " > ".join(before) or None, " > ".join(after) or None)
        counterparts = dict(zip(_numbered(now), now, strict=True))
        for name, entry in zip(_numbered(was), was, strict=True):
            if (other := counterparts.get(name)) is not None:
                yield from self._options(entry, other)

    def _options(self, was: Entry, now: Entry) -> list[Change]:
        """Return changes of options; those of entries that many routes share are looked at once."""
        known = self._pairs.get((id(was), id(now)))
        if known is None:
            changes = self._values(dict(flat(was.options)), dict(flat(now.options)))
            known = [each._replace(what=f"{now.identity}: {each.what}") for each in changes]
            self._pairs[id(was), id(now)] = known
        return known

    # -- settings

    def _settings(self, was: Any, now: Any, apart: frozenset[str]) -> Iterator[Change]:
        for each in fields(was):
            before, after = getattr(was, each.name), getattr(now, each.name)
            if each.name in apart or self._same(each.name, before, after):
                continue
            old, new = self._old.settings(each.name, before), self._new.settings(each.name, after)
            yield from self._values(old, new)

    def _same(self, name: str, before: Any, after: Any) -> bool:
        """Whether two values mean the same; an upstream is a number of its own side."""
        if name == "upstream":
            old, new = self._old.config.upstreams[before], self._new.config.upstreams[after]
            return bool(replace(old, name=new.name) == new)
        return bool(before == after) and not _points(before)

    def _values(self, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
        for path in dict.fromkeys((*old, *new)):
            before, after = old.get(path), new.get(path)
            if (path in old, before) != (path in new, after):
                yield Change(
                    path,
                    self._old.shown.value(path, before) if path in old else None,
                    self._new.shown.value(path, after) if path in new else None,
                )

    # -- what is not of one route

    def _services(self) -> None:
        """Tell of what holds for calls to a service by plugins, where no route of it told already."""
        known = {each.name: each for each in self._new.config.services}
        for was in self._old.config.services:
            now: ServiceSpec | None = known.get(was.name)
            for change in self._settings(was, now, _OF_SERVICE) if now else ():
                if change not in self._changed and not change.what.startswith("prefixes"):
                    self._changed[change] = {f"service {was.name}": None}

    def _without_route(self) -> None:
        was = self._old.entries(self._old.config.global_chain)
        now = self._new.entries(self._new.config.global_chain)
        for change in self._entries("plugins", was, now):
            if change not in self._changed and change not in self._access:
                self._changed[change] = {NOBODY: None}

    def _process(self) -> Iterator[Change]:
        for name in ("gateway", "log"):
            was, now = getattr(self._old.config, name), getattr(self._new.config, name)
            yield from self._values(dict(flat({name: was})), dict(flat({name: now})))
        stores = (
            dict(flat({"secrets": side.config.secrets.settings})) for side in (self._old, self._new)
        )
        yield from self._values(*stores)


def _found(changes: dict[Change, dict[str, None]]) -> list[Found]:
    return [Found(change, tuple(routes)) for change, routes in changes.items()]


def _numbered(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """Return the name of each plugin with how many of the same stand before it."""
    seen: Counter[str] = Counter()
    found = []
    for entry in entries:
        found.append((entry.plugin, seen[entry.plugin]))
        seen[entry.plugin] += 1
    return found


def _points(value: Any) -> bool:
    """Whether the number of an upstream stands inside of a value."""
    parts = value if isinstance(value, tuple) else (value,)
    return any("upstream" in getattr(part, "__dataclass_fields__", ()) for part in parts)
