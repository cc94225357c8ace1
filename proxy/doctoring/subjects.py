"""The upstreams of the files: who uses each, and where that was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy import paths
from proxy.config.formats import SERVICE_PREFIX
from proxy.config.models import Config, Entry, Place, RouteSpec, UpstreamSpec
from proxy.config.tree import Mapping as Tree
from proxy.config.tree import Path, Scalar, find, key_span
from proxy.config.tree import Sequence as Items
from proxy.doctoring.mending import Mend, mended

_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Known:
    """A path that the upstream is known to have, as it is sent.

    `route` is who sends it, None where that is not a route's own path. `exact` is True where the
    route takes this path alone, so that `rewrite` can say how it is sent.
    """

    path: str
    route: RouteSpec | None = None
    exact: bool = False

    @property
    def writes(self) -> bool:
        """Whether the route lets bodies through to this path."""
        methods = frozenset() if self.route is None else self.route.match.methods
        return self.route is not None and (not methods or bool(methods & _WRITING))


@dataclass(frozen=True)
class Subject:
    """One upstream. `services` are those that use it, `routes` all that send requests to it.

    `user` is the path in the tree of the service, route or fallback that wrote it, `owner` that of
    what has it as its `upstream`: the same, or a part of its split, or its mirror.
    """

    spec: UpstreamSpec
    config: Config
    root: Tree
    owner: Path
    user: Path
    services: tuple[str, ...]
    routes: tuple[RouteSpec, ...]

    @property
    def place(self) -> Place:
        """Where it was written."""
        return key_span(self.root, self.owner).place

    @property
    def base(self) -> str:
        """The path that is sent for the upstream's own root."""
        return self.spec.path or "/"

    def in_upstream(self, *keys: str, value: str) -> Mend:
        """Return the line that gives this upstream a key."""
        return mended(self.root, (*self.owner, "upstream", *keys), value)

    def in_user(self, key: str, value: str) -> Mend:
        """Return the line that gives a key to the service, route or fallback that wrote it."""
        return mended(self.root, (*self.user, key), value)

    def in_route(self, route: RouteSpec, key: str, value: str) -> Mend:
        """Return the line that gives a key to one route."""
        return mended(self.root, (*_path_of(self.root, route), key), value)

    def in_gateway(self, *keys: str, value: str) -> Mend:
        """Return the line that sets what holds for all services."""
        return mended(self.root, ("gateway", *keys), value)

    @property
    def known(self) -> Sequence[Known]:
        """The paths that are known to exist, each once: exact ones of routes are told first."""
        found: dict[str, Known] = {}
        for one in sorted(self._known(), key=lambda one: not one.exact):
            found.setdefault(one.path, one)
        return tuple(found.values())

    def _known(self) -> Iterator[Known]:
        for route in self.routes:
            sent = _sent_path(self.spec.path, route)
            if sent is not None:
                yield Known(sent, route, exact=not route.match.path.prefix)
        health = None if self.spec.health is None else self.spec.health.path
        if health is not None and not health.endswith("/"):  # checks ask for it just so
            yield Known(health)
        yield Known(self.base)

    def entries(self, plugin: str) -> list[Entry]:
        """Return the entries of one plugin that stand in the chains of its routes."""
        indexes = dict.fromkeys(index for route in self.routes for index in route.chain)
        entries = (self.config.entries[index] for index in indexes)
        return [entry for entry in entries if entry.plugin == plugin]


def _sent_path(base: str, route: RouteSpec) -> str | None:
    """Return what is sent for the literal path of a route; None where values are part of it."""
    pattern = route.match.path
    if pattern.names or (route.rewrite is not None and "${" in route.rewrite):
        return None
    if route.rewrite is not None:
        return paths.join(base, route.rewrite)
    own = pattern.text.removesuffix("/*")
    return paths.join(base, own if route.strip else route.prefixes[0] + own)


def subjects(config: Config, root: Tree) -> list[Subject]:
    """Return every upstream that a route or a service uses, in the order in which they do."""
    routes = [*config.routes, *([config.fallback] if config.fallback else ())]
    used = [index for route in routes for index in _upstreams_of(route)]
    indexes = dict.fromkeys([*(one.upstream for one in config.services), *used])
    owners = {index: (owner, user) for index, owner, user in _owners(config, root, routes)}
    return [
        Subject(
            config.upstreams[index],
            config,
            root,
            *owners[index],
            tuple(one.name for one in config.services if one.upstream == index),
            tuple(route for route in routes if index in _upstreams_of(route)),
        )
        for index in indexes
    ]


def _upstreams_of(route: RouteSpec) -> list[int]:
    """Return where requests of a route go, a part of them and copies of them."""
    mirror = [] if route.mirror is None else [route.mirror.upstream]
    return [route.upstream, *(one.upstream for one in route.split), *mirror]


def _owners(
    config: Config, root: Tree, routes: Iterable[RouteSpec]
) -> Iterator[tuple[int, Path, Path]]:
    """Yield what has the key `upstream` that wrote each, and whose that is; the last word holds.

    A reference wrote none, so that who did comes last.
    """
    for route in routes:
        user = _path_of(root, route)
        for number, one in enumerate(route.split):
            at = _with_key(root, user, "split")
            yield one.upstream, (*at, "split", number), at
        if route.mirror is not None:
            at = _with_key(root, user, "mirror")
            yield route.mirror.upstream, (*at, "mirror"), at
    for route in routes:
        user = _path_of(root, route)
        if not _refers(root, user):
            yield route.upstream, user, user
    for service in config.services:
        user = ("services", service.name)
        if not _refers(root, user):
            yield service.upstream, user, user


def _with_key(root: Tree, user: Path, key: str) -> Path:
    """Return the route's own path, or that of its service where the service says it."""
    return user if find(root, (*user, key)) is not None else user[:2]


def _refers(root: Tree, path: Path) -> bool:
    node = find(root, path)
    node = node if isinstance(node, Scalar) else find(root, (*path, "upstream"))
    return isinstance(node, Scalar) and str(node.value).startswith(SERVICE_PREFIX)


def _path_of(root: Tree, route: RouteSpec) -> Path:
    """Return the path of a route, by the place of its match; else of the service that it is."""
    service: Path = () if route.service is None else ("services", route.service)
    below: Path = (*service, "routes")
    listed = find(root, below)
    for index in range(len(listed.items) if isinstance(listed, Items) else 0):
        if key_span(root, (*below, index, "match")).place == route.place:
            return (*below, index)
    return service or ("fallback",)


def named(every: Iterable[Subject], names: Iterable[str]) -> list[Subject]:
    """Return the upstreams of services, by name or alias, or of routes that have their own.

    Raises KeyError with the name that nothing has.
    """
    every = list(every)
    found: dict[int, Subject] = {}
    for name in names:
        mine = [one for one in every if name in names_of(one)]
        if not mine:
            raise KeyError(name)
        found |= {id(one): one for one in mine}
    return [one for one in every if id(one) in found]


def names_of(subject: Subject) -> set[str]:
    """Return the words by which an upstream can be asked for."""
    services = {route.service for route in subject.routes if route.service} | set(subject.services)
    base = f"{subject.config.gateway.base_path}/"
    aliases = {
        prefix.removeprefix(base)
        for service in subject.config.services
        if service.name in services
        for prefix in service.prefixes
    }
    return {subject.spec.name, *services, *aliases}
