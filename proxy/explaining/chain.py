"""The chain that would run, and what each of its plugins says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy.config.models import Place
from proxy.plugin.stages import Stage

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange
    from proxy.runtime.snapshot import Snapshot
    from proxy.server.request import Request

MOST_LINES = 100
"""Of one plugin: its list may be made by a bug."""


@dataclass(frozen=True, slots=True)
class Step:
    """One plugin of a chain. `error` is what its `explain` raised, instead of lines."""

    identity: str
    plugin: str
    stage: Stage
    place: Place
    asks: bool
    lines: tuple[str, ...] = ()
    error: str | None = None


def order(snapshot: Snapshot, request: Request, *, heard: bool) -> Sequence[int]:
    """Return the entries that run, outermost first; `heard` is False for what was no request."""
    route = request.route
    if route is not None:
        outside, inside = snapshot.around_caller(route.spec)
        return (*outside, *route.spec.authenticators, *inside)
    around, held = snapshot.config.global_chain, snapshot.instances.held
    return [one for one in around if heard or held[one].plugin.stage is Stage.OBSERVE]


def steps(
    snapshot: Snapshot, request: Request, entries: Iterable[int], shown: Callable[[str], str]
) -> list[Step]:
    """Ask each plugin what it would do; `shown` makes its lines fit to be read by anybody."""
    asked = () if request.route is None else request.route.spec.authenticators
    return [
        _step(snapshot, request.exchange, index, shown, asks=index in asked) for index in entries
    ]


def _step(
    snapshot: Snapshot,
    exchange: Exchange,
    index: int,
    shown: Callable[[str], str],
    *,
    asks: bool,
) -> Step:
    entry, plugin = snapshot.config.entries[index], snapshot.instances.held[index].plugin
    lines: list[str] = []
    error = None
    try:
        lines = _lines(plugin.explain(exchange))
    except (
        Exception,
        SystemExit,
    ) as failure:  # a plugin may fail in any way, here as on the way of a request
        error = f"{type(failure).__name__}: {failure}".rstrip(": ")
    return Step(
        entry.identity,
        entry.plugin,
        plugin.stage,
        entry.place,
        asks,
        tuple(map(shown, lines)),
        None if error is None else shown(error),
    )


def _lines(given: Any) -> list[str]:
    """Return what a plugin said as lines; one text is taken for what it is."""
    texts = [given] if isinstance(given, str) else [str(each) for each in given]
    return [line for text in texts[:MOST_LINES] for line in text.splitlines()]
