"""`split` and `mirror` of services and routes, compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from proxy.config.codes import Code
from proxy.config.formats import SERVICE_PREFIX
from proxy.config.levels import Level
from proxy.config.models import Compare, MirrorSpec, SplitSpec, TargetSpec, UpstreamSpec
from proxy.config.patterns import parse_test
from proxy.config.pointers import parse_pointer
from proxy.config.settings import block_schema, converted
from proxy.config.tree import Path
from proxy.config.upstreams import Upstreams, all_private
from proxy.config.work import Work
from proxy.units import duration_text, parse_percent, size_text

_MOST: Mapping[str, int] = {"body": 1024**2, "answer": 16 * 1024**2, "timeout": 300}
"""What one copy may hold or last at most, in bytes and seconds: `concurrent` times of it is held."""

_ALL = 1.0 + 1e-9
"""All there is: 0.1 and 0.2 and 0.7 are a little more."""


class Shaping:
    """Lays what a service or route says of split and mirror over what holds outside of it."""

    def __init__(self, work: Work, upstreams: Upstreams) -> None:
        self._work = work
        self._upstreams = upstreams
        self._mirror_schema = block_schema("routes")["items"]["properties"]["mirror"]

    def laid(self, level: Level, given: Mapping[str, Any], path: Path, name: str) -> Level:
        """Return the level with the split and the mirror of the service or route `name` at `path`.

        One that has an upstream of its own goes without those of its service: a share of another
        upstream's requests is not meant.
        """
        assert level.upstream is not None
        own = "upstream" in given
        pools = _Pools(self._work, self._upstreams, level.upstream, name)
        fields: dict[str, Any] = {"split": (), "mirror": None} if own else {}
        if "split" in given:
            fields["split"] = self._split(given["split"], (*path, "split"), pools)
        if "mirror" in given:
            fields["mirror"] = self._mirror(given["mirror"], (*path, "mirror"), pools)
        return replace(level, **fields) if fields else level

    def _split(self, given: list[Any], path: Path, pools: _Pools) -> tuple[SplitSpec, ...]:
        entries = []
        for number, each in enumerate(given):
            entry = self._entry(each, (*path, number), pools)
            if entry is not None:
                entries.append(entry)
        self._check_sum(given, path)
        return tuple(entries)

    def _entry(self, given: Mapping[str, Any], path: Path, pools: _Pools) -> SplitSpec | None:
        if not {"share", "header", "cookie"} & given.keys():
            message = "this entry says neither how many requests go there nor which"
            hint = "add 'share: 5%', or 'header' or 'cookie'"
            self._work.report.error(Code.SHAPING, message, self._work.value(*path), hint)
        index = pools.add(given["upstream"], (*path, "upstream"), "split")
        if index is None:
            return None
        headers, cookies = given.get("header", {}), given.get("cookie", {})
        return SplitSpec(
            index,
            parse_percent(given["share"]) if "share" in given else None,
            tuple(parse_test(name.lower(), value) for name, value in headers.items()),
            tuple(parse_test(name, value) for name, value in cookies.items()),
        )

    def _check_sum(self, given: list[Any], path: Path) -> None:
        taken = 0.0
        for number, each in enumerate(given):
            taken += parse_percent(each.get("share", "0%"))
            if taken > _ALL:
                message = f"the shares are {taken * 100:g}% together: more than all requests"
                span = self._work.value(*path, number, "share")
                hint = "lower one: 'upstream' gets what is left of 100%"
                self._work.report.error(Code.SHAPING, message, span, hint)
                return

    def _mirror(self, given: Any, path: Path, pools: _Pools) -> MirrorSpec | None:
        if given is False:
            return None
        index = pools.add(given["upstream"], (*path, "upstream"), "mirror")
        fields = converted(self._mirror_schema, given)
        for key, most in _MOST.items():
            if fields.get(key, 0) > most:
                shown = duration_text(most) if key == "timeout" else size_text(most)
                message = f"'{key}' of a mirror is at most {shown}"
                span = self._work.value(*path, key)
                hint = "as many as 'concurrent' says are held at once"
                self._work.report.error(Code.SHAPING, message, span, hint)
        if index is None:
            return None
        fields["upstream"] = index
        if "compare" in fields:
            fields["compare"] = Compare(fields["compare"] or "nothing")
        if "ignore" in fields:
            fields["ignore"] = tuple(map(parse_pointer, fields["ignore"]))
            self._check_ignore(fields, path)
        if "methods" in fields:
            fields["methods"] = frozenset(fields["methods"])
        return MirrorSpec(**fields)

    def _check_ignore(self, fields: Mapping[str, Any], path: Path) -> None:
        if fields.get("compare") is not Compare.JSON:
            message = "'ignore' says nothing where no bodies are compared"
            span = self._work.key(*path, "ignore")
            self._work.report.error(Code.SHAPING, message, span, "say 'compare: json'")


class _Pools:
    """The other upstreams of one service or route; what its own leaves out, theirs take from it."""

    def __init__(self, work: Work, upstreams: Upstreams, own: int, owner: str) -> None:
        self._work = work
        self._upstreams = upstreams
        self._own = own
        self._owner = owner
        self._made: list[int] = []

    def add(self, given: Any, path: Path, what: str) -> int | None:
        """Return the index of an upstream; None where it is wrong, which is reported."""
        specs = self._upstreams.specs
        index = self._upstreams.add(self._owner, given, path, self._own)
        if index is None:
            return None
        if _place(specs[index]) == _place(specs[self._own]):
            message = f"this {what} leads to the upstream itself"
            hint = "name another one, or leave it out"
            self._work.report.error(Code.SHAPING, message, self._work.value(*path), hint)
        referred = isinstance(given, str) and given.startswith(SERVICE_PREFIX)
        return index if referred else self._named(index)

    def _named(self, index: int) -> int:
        """Name a new pool after where it leads; an equal one that was made before serves again."""
        specs = self._upstreams.specs
        spec, target = specs[index], specs[index].targets[0]
        for known in self._made:
            if replace(spec, name=specs[known].name) == specs[known]:
                del specs[index]
                return known
        names = {specs[known].name for known in self._made}
        name = f"{self._owner} to {target.authority}{spec.path}"
        while name in names:
            name += "+"
        specs[index] = replace(spec, name=name)
        self._made.append(index)
        return index


def _place(spec: UpstreamSpec) -> tuple[frozenset[TargetSpec], str]:
    plain = (replace(target, weight=1, backup=False) for target in spec.targets)
    return frozenset(plain), spec.path


def with_cookie_rule(level: Level, specs: list[UpstreamSpec]) -> tuple[Any, Any]:
    """Return the level's split and mirror, told whether they may see the client's cookies.

    Where nobody says which cookies go on, an upstream that is near by its name gets all and any
    other none: that holds for each upstream by itself, and none gets what the route's own does not.
    """
    if "forward_cookies" in level.switches or level.upstream is None:
        return level.split, level.mirror
    split = tuple(
        replace(one, keeps_cookies=all_private(specs[one.upstream])) for one in level.split
    )
    mirror = level.mirror
    if mirror is not None:
        mirror = replace(mirror, keeps_cookies=all_private(specs[mirror.upstream]))
    return split, mirror


def all_upstreams(level: Level) -> Iterator[int]:
    """Yield the indexes of all upstreams that requests of a level go to, copies left out."""
    if level.upstream is not None:
        yield level.upstream
    yield from (one.upstream for one in level.split)


def sticky_cookies(specs: Iterable[UpstreamSpec]) -> tuple[str, ...]:
    """Return the names of the cookies by which clients keep their targets, each once."""
    names = (spec.balance.sticky for spec in specs)
    return tuple(dict.fromkeys(name for name in names if name is not None))
