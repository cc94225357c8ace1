"""The gateway with a ticker in its loop: ``python -m bench.ticker GAPS run FILE …``.

The command runs as ever, by its public entry, except that the coroutine which is given to
``asyncio.Runner`` finds a second task beside it. That task sleeps 1 ms over and over; whenever it
was kept waiting longer than 3 ms it writes a line to the file GAPS: the moment (CLOCK_MONOTONIC,
seconds) and the gap (seconds, the sleep's own millisecond included). A gap is the time for which
no callback of the loop could run: whatever held the loop, the GIL or the core.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from contextvars import Context
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_WORTH_WRITING = 0.003


async def _tick(gaps: Path) -> None:
    with gaps.open("a", buffering=1) as out:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.001)
            now = time.monotonic()
            if now - last > _WORTH_WRITING:
                out.write(f"{now} {now - last}\n")
            last = now


def install(gaps: Path) -> None:
    """Puts the ticker beside whatever ``asyncio.Runner`` runs; uvloop.run ends there too."""
    original = asyncio.Runner.run

    def run(
        self: asyncio.Runner, coro: Coroutine[Any, Any, T], *, context: Context | None = None
    ) -> T:
        return original(self, _beside(coro, gaps), context=context)

    asyncio.Runner.run = run  # type: ignore[method-assign]


async def _beside(coro: Coroutine[Any, Any, T], gaps: Path) -> T:
    task = asyncio.create_task(_tick(gaps))
    try:
        return await coro
    finally:
        task.cancel()


def main() -> None:
    from proxy.cli.main import main as brain

    install(Path(sys.argv[1]))
    sys.argv = ["brain", *sys.argv[2:]]
    sys.exit(brain())


def longest_gap(gaps: Path, began: float, ended: float) -> float:
    """Seconds; 0 when no gap within that time was worth writing."""
    rows = [[float(part) for part in line.split()] for line in gaps.read_text().splitlines()]
    return max((gap for moment, gap in rows if began <= moment <= ended), default=0.0)


if __name__ == "__main__":
    main()
