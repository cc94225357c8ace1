"""What holds at one level of the file, laid over what holds outside of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.config.access import access_of
from proxy.config.chain import Chain, Chains
from proxy.config.models import Access, Limits, MirrorSpec, Retry, SplitSpec, Timeouts
from proxy.config.settings import Blocks, block_schema, switches
from proxy.config.tree import Path
from proxy.config.work import Work


@dataclass(frozen=True)
class Level:
    """For all, for a service, for a route. `switches` are fields of a `RouteSpec` as they are."""

    chain: Chain
    access: Access = Access.REQUIRED
    timeouts: Timeouts = field(default_factory=Timeouts)
    limits: Limits = field(default_factory=Limits)
    retry: Retry = field(default_factory=Retry)
    switches: Mapping[str, Any] = field(default_factory=dict)
    upstream: int | None = None
    split: tuple[SplitSpec, ...] = ()
    mirror: MirrorSpec | None = None


class Levels:
    """Makes levels, `outer` first: what `defaults:` and the global `plugins:` say."""

    def __init__(self, work: Work, chains: Chains) -> None:
        self._chains = chains
        self._blocks = Blocks()
        self._timeouts = block_schema("defaults", "timeouts")
        self._limits = block_schema("defaults", "limits")
        self._retry = block_schema("defaults", "retry")
        given = {name: work.get("defaults", name) for name in ("timeouts", "limits", "retry")}
        around = {key: work.data[key] for key in ("plugins",) if key in work.data}
        self.outer = self._merged(Level(chains.extend(Chain(), around, ())), given)

    def inner(self, outer: Level, given: Mapping[str, Any], path: Path) -> Level:
        """Return the level that a service or a route at `path` makes inside of `outer`."""
        chain = self._chains.extend(outer.chain, given, path)
        level = self._merged(outer, given)
        return replace(
            level,
            chain=chain,
            access=access_of(given.get("public"), outer.access),
            switches={**outer.switches, **switches(given)},
        )

    def _merged(self, outer: Level, given: Mapping[str, Any]) -> Level:
        return replace(
            outer,
            timeouts=self._blocks.merged(outer.timeouts, self._timeouts, given.get("timeouts")),
            limits=self._blocks.merged(outer.limits, self._limits, given.get("limits")),
            retry=self._blocks.merged(outer.retry, self._retry, given.get("retry")),
        )
