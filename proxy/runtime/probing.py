"""Finding out which upstreams can't be reached, without waiting for a request to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic, perf_counter

from proxy.config.models import Timeouts
from proxy.errors import GatewayError
from proxy.plugin.exchange import Attempt
from proxy.runtime.snapshot import Snapshot
from proxy.upstream.pool import Upstream
from proxy.upstream.standing import Standing
from proxy.upstream.target import Target

INTERVAL = 10.0
"""Seconds between two rounds when nobody asks."""

SOON = 2.0
"""Least seconds between two rounds: whoever reads /ready brings the next one nearer."""

MOST = 256
"""With more targets than this to try, only those that failed a request are tried."""

AT_ONCE = 32


class Prober:
    """Tries targets that were never reached, or not at the last try.

    /ready shows the result; requests are sent whatever it is.
    """

    def __init__(self, current: Callable[[], Snapshot]) -> None:
        self._current = current
        self._wanted = asyncio.Event()
        self._failing: dict[Target, float] = {}
        self._tried: dict[Target, float] = {}

    async def run(self) -> None:
        """Try until cancelled."""
        while True:
            targets = _doubtful(self._current().upstreams.values())
            for at in range(0, len(targets), AT_ONCE):
                await asyncio.gather(*map(self._try, targets[at : at + AT_ONCE]))
            self._remember()
            self._wanted.clear()
            await asyncio.sleep(SOON)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL - SOON):
                    await self._wanted.wait()

    async def _try(self, target: Target) -> None:
        await probe(target)
        self._tried[target] = monotonic()

    def _remember(self) -> None:
        """Note since when targets fail, and forget those that do not or are no more."""
        now, current = monotonic(), self._current().upstreams.values()
        failing = [each for one in current for each in one.targets if each.failing is not None]
        self._failing = {target: self._failing.get(target, now) for target in failing}
        self._tried = {target: self._tried[target] for target in failing if target in self._tried}

    def failure(self, upstream: Upstream) -> str | None:
        """Return which targets are left out and why, else why none can be reached and since when."""
        left_out = _left_out(upstream)
        if left_out is not None:
            return left_out
        code = upstream.failing
        if code is None:
            return None
        self._wanted.set()
        now = monotonic()
        since = min(self._failing.setdefault(target, now) for target in upstream.targets)
        tried = [self._tried[target] for target in upstream.targets if target in self._tried]
        last = f", tried {now - max(tried):.0f} s ago" if tried else ""
        return f"{code} (for {now - since:.0f} s{last})"


def _left_out(upstream: Upstream) -> str | None:
    troubles = upstream.group.troubles()
    if not troubles:
        return None
    told = (_trouble(target.label, standing) for target, standing in troubles)
    out = sum(standing.state != "ok" for _, standing in troubles)
    panic = "; none is well, so all are asked" if upstream.group.panicking else ""
    return f"{out} of {len(upstream.targets)} left out: {', '.join(told)}{panic}"


def _trouble(label: str, standing: Standing) -> str:
    if standing.state == "ok":
        return f"{label} is asked on ({standing.reason})"
    lasted = monotonic() - standing.since
    return f"{label} {standing.state} for {lasted:.0f} s by now ({standing.reason})"


def _doubtful(upstreams: Iterable[Upstream]) -> list[Target]:
    doubtful = [
        target
        for upstream in upstreams
        if upstream.spec.health is None
        for target in upstream.targets
        if (target.failing is not None or not target.reached) and not target.spec.nowhere
    ]
    if len(doubtful) > MOST:
        doubtful = [target for target in doubtful if target.failing is not None]
    return doubtful[:MOST]


async def probe(target: Target) -> None:
    """Open a connection to a target and close it, past its pool: whose turn it is stays as it is."""
    try:
        connection = await target.connect(Timeouts(), Attempt(target.label), perf_counter())
    except (GatewayError, OSError):
        return
    connection.close()
