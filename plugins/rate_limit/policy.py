"""The windows that hold for a request, and where each is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plugins.rate_limit.here import Here, here
from plugins.rate_limit.memory import Memory
from plugins.rate_limit.shared import Shared
from plugins.rate_limit.windows import Window
from proxy import Store

Remember = Callable[[Window], Memory]


@dataclass(frozen=True, slots=True)
class Counted:
    """Windows that are counted in this process; `told` is their `RateLimit-Policy`."""

    here: Here
    told: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for a caller: in this process, and where there is a store, there first."""

    windows: tuple[Window, ...]
    told: str
    alone: Counted
    shared: Shared | None


def policy_of(
    windows: tuple[Window, ...],
    remember: Remember,
    store: Store | None,
    scope: str,
    local_share: float,
) -> Policy:
    """Return a policy. `scope` names the entry, `local_share` what holds while the store is away."""
    shared = None if store is None else Shared(store, windows, scope)
    mine = windows if store is None else tuple(each.part(local_share) for each in windows)
    alone = Counted(here(mine, [remember(each) for each in mine]), _told(mine))
    return Policy(windows, _told(windows), alone, shared)


def _told(windows: Sequence[Window]) -> str:
    return ", ".join(window.policy for window in windows)
