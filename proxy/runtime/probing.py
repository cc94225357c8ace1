"""Finding out which upstreams can't be reached, without waiting for a request to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter

from proxy.config.models import Timeouts
from proxy.errors import GatewayError
from proxy.plugin.exchange import Attempt
from proxy.runtime.snapshot import Snapshot
from proxy.upstream.pool import Upstream
from proxy.upstream.target import Target

INTERVAL = 10.0
MOST = 256
"""With more targets than this to try, only those that failed a request are tried."""

AT_ONCE = 32


async def keep_probing(current: Callable[[], Snapshot]) -> None:
    """Try targets that were never reached, or not at the last try, until cancelled.

    /ready shows the result; requests are sent whatever it is.
    """
    while True:
        targets = _doubtful(current().upstreams.values())
        for at in range(0, len(targets), AT_ONCE):
            await asyncio.gather(*map(probe, targets[at : at + AT_ONCE]))
        await asyncio.sleep(INTERVAL)


def _doubtful(upstreams: Iterable[Upstream]) -> list[Target]:
    doubtful = [
        target
        for upstream in upstreams
        for target in upstream.targets
        if target.failing is not None or not target.reached
    ]
    if len(doubtful) > MOST:
        doubtful = [target for target in doubtful if target.failing is not None]
    return doubtful[:MOST]


async def probe(target: Target) -> None:
    """Open a connection to a target and close it, past its pool: whose turn it is stays as it is."""
    try:
        connection = await target.connect(Timeouts(), Attempt(target.label), perf_counter())
    except GatewayError:
        return
    connection.close()
