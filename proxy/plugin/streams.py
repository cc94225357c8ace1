"""Reading a streamed body whole, so that it can still be sent whatever comes of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from typing import Protocol

log = logging.getLogger("brain.plugin")


class Tap(Protocol):
    """Sees a body go by, chunk by chunk. It does not wait; one that raises sees no more."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> None:
        """Know that this was all. It is never called for a body that broke off."""


class Taps:
    """Those who see one body go by. One that fails is told in the log, and the body goes on."""

    __slots__ = ("_taps",)

    def __init__(self, *taps: Tap) -> None:
        self._taps = list(taps)

    def add(self, tap: Tap) -> None:
        """Let `tap` see what goes by from now on."""
        self._taps.append(tap)

    def feed(self, data: bytes) -> None:
        """Show the next bytes."""
        for tap in tuple(self._taps):
            try:
                tap.feed(data)
            except Exception as error:  # whoever only looks must not break what it looks at
                self._drop(tap, error)

    def end(self) -> None:
        """Tell that this was all."""
        for tap in tuple(self._taps):
            try:
                tap.end()
            except Exception as error:  # see above
                self._drop(tap, error)

    def _drop(self, tap: Tap, error: Exception) -> None:
        kind = type(tap)
        log.error("a tap failed: %s.%s", kind.__module__, kind.__qualname__, exc_info=error)
        self._taps.remove(tap)


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


async def tapped(body: AsyncIterator[bytes], taps: Taps) -> AsyncIterator[bytes]:
    """Yield what `body` yields, and show it to `taps`."""
    async for chunk in body:
        taps.feed(chunk)
        yield chunk
    taps.end()
