"""Finding out which upstreams can't be reached, without waiting for a request to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from proxy.config.models import Timeouts
from proxy.errors import GatewayError
from proxy.plugin.exchange import Attempt
from proxy.runtime.snapshot import Snapshot
from proxy.upstream.pool import Upstream

INTERVAL = 10.0
MOST = 256
"""With more upstreams than this, only those that failed a request are tried."""


async def keep_probing(current: Callable[[], Snapshot]) -> None:
    """Try upstreams that were never reached, or not at the last try, until cancelled.

    /ready shows the result; requests are sent whatever it is.
    """
    while True:
        upstreams = [one for one in current().upstreams.values() if _asks_for_it(one)]
        for upstream in upstreams[:MOST]:
            await probe(upstream)
        await asyncio.sleep(INTERVAL)


def _asks_for_it(upstream: Upstream) -> bool:
    return upstream.failing is not None or not upstream.reached


async def probe(upstream: Upstream) -> None:
    """Open a connection to one target and close it."""
    try:
        target = upstream.choose()
        connection = await upstream.connect(
            target, Timeouts(), Attempt(target.label), perf_counter()
        )
    except GatewayError:
        return
    connection.close()
