"""Work on tens of thousands of things without stopping the loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeVar

T = TypeVar("T")

SLICE = 0.004
"""Seconds of work after which the loop gets its turn."""


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield `items`, giving the loop its turn whenever a slice of time is used up."""
    until = perf_counter() + SLICE
    for item in items:
        yield item
        if perf_counter() > until:
            await asyncio.sleep(0)
            until = perf_counter() + SLICE


async def let_go(items: list[Any]) -> None:
    """Empty `items`. Where it holds the last references, freeing them all at once takes long."""
    async for _ in in_slices(range(len(items))):
        items.pop()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cyclic garbage collector from running while many lasting objects are made.

    A collection would look at all of them and stop the loop for their number. What lasts is then
    frozen: it is never looked at again.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # Before enabling: the next allocation would start the collection that was put off.
        gc.freeze()
        gc.enable()
