"""What the tests of upstreams share: targets without sockets, and a clock that is set by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from proxy.config.models import TargetSpec, UpstreamSpec, UpstreamTls
from proxy.errors import GatewayError
from proxy.upstream import breaker, budget, group, outliers, standing
from proxy.upstream.group import Group
from proxy.upstream.resolver import Resolver
from proxy.upstream.target import Target

RESET = GatewayError("upstream_reset_before_headers")


@dataclass
class Clock:
    """Stands in for `time.monotonic` in all that watches targets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def set_by_hand(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Make those who watch targets read a clock that stands until it is moved."""
    clock = Clock()
    for module in (breaker, budget, group, outliers, standing):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


def target(name: str, weight: int = 1, *, backup: bool = False) -> Target:
    """Make a target that nothing is sent to."""
    spec = TargetSpec("http", name, 80, weight, backup)
    return Target(spec, UpstreamTls(), Resolver(), None)


def targets(*weights: int) -> list[Target]:
    """Make a target for each weight, named a, b and so on."""
    return [target(chr(ord("a") + at), weight) for at, weight in enumerate(weights)]


def grouped(members: list[Target], **settings: object) -> Group:
    """Make a group of `members`, whose upstream has `settings`."""
    specs = tuple(one.spec for one in members)
    made = Group(UpstreamSpec("u", specs, **settings))  # type: ignore[arg-type]
    made.set_members(members)
    return made


def names(found: list[Target]) -> str:
    """Return the names of targets, one letter each."""
    return "".join(one.spec.host for one in found)
