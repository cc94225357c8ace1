"""The loop that a gateway's processes run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


def run_loop(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine function on uvloop, or on asyncio's loop where there is none (Windows)."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop
