"""Reading a streamed body whole, so that it can still be sent whatever comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol


class Tap(Protocol):
    """Sees a body go by. It is called for every chunk: it neither waits nor raises."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> None:
        """Know that this was all. It is never called for a body that broke off."""


async def gather(body: AsyncIterator[bytes], parts: list[bytes], limit: int) -> bool:
    """Append the chunks of `body` to `parts`; tell whether that was all, in at most `limit` bytes."""
    size = 0
    async for chunk in body:
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            return False
    return True


async def chained(
    parts: Iterable[bytes], rest: AsyncIterator[bytes] | None = None
) -> AsyncIterator[bytes]:
    """Yield `parts`, then what `rest` yields."""
    for part in parts:
        yield part
    if rest is not None:
        async for chunk in rest:
            yield chunk


async def broken(parts: Iterable[bytes], error: Exception) -> AsyncIterator[bytes]:
    """Yield `parts`, then fail as the body did that they came from: no clean end is faked."""
    for part in parts:
        yield part
    raise error


async def tapped(body: AsyncIterator[bytes], taps: Sequence[Tap]) -> AsyncIterator[bytes]:
    """Yield what `body` yields, and show it to `taps`."""
    async for chunk in body:
        for tap in taps:
            tap.feed(chunk)
        yield chunk
    for tap in taps:
        tap.end()
