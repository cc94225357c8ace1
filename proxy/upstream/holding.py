"""The body of an answer: held for whoever iterates, or handed to a sink as it arrives.

What makes an exchange fail is told here too, to whoever waits for it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, Protocol

from proxy.errors import GatewayError
from proxy.timer import Deadline

HIGH_WATER = 64 * 1024
"""Bytes held for a reader before the target is told to wait."""


class Sink(Protocol):
    """Where `relay` puts the body: synchronous, with `paused` telling when to hold."""

    @property
    def paused(self) -> bool: ...

    def feed(self, data: bytes) -> None: ...


class BodyReader(asyncio.Protocol, ABC):
    """One body at a time, with the transport that it comes on.

    `keep` tells whether the framing leaves the connection fit for another exchange, `complete`
    whether the answer is whole, `upgraded` whether bytes now pass as they are.

    Slots: a connection has more attributes than CPython keeps beside an instance, and is touched
    too often for a dict.
    """

    __slots__ = (
        "_body_waiter",
        "_chunks",
        "_deadline",
        "_error",
        "_expiry",
        "_held",
        "_idle_timeout",
        "_loop",
        "_reading_paused",
        "_sink",
        "body_received",
        "busy",
        "complete",
        "keep",
        "label",
        "transport",
        "upgraded",
    )

    # Of one exchange: set by `_reset`, in one place and one call for all of a connection's classes.
    complete: bool
    upgraded: bool
    keep: bool
    body_received: int
    _chunks: list[bytes]
    _held: int
    _error: GatewayError | None

    def __init__(self, loop: asyncio.AbstractEventLoop, label: str) -> None:
        self._loop = loop
        self.label = label
        self.transport: asyncio.Transport | None = None
        self.busy = False
        self._deadline = Deadline(loop, self._expired)
        self._body_waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._expiry = "upstream_response_timeout"
        self._idle_timeout = 60.0
        self._reading_paused = False
        self._reset()

    @abstractmethod
    def _reset(self) -> None:
        """Begin anew: set what belongs to one exchange."""

    @abstractmethod
    def _expired(self) -> None:
        """Take the deadline's coming."""

    @abstractmethod
    def _waiters(self) -> tuple[asyncio.Future[Any] | None, ...]:
        """Return whoever must hear of a failure."""

    # -- what arrives

    def _deliver(self, data: bytes) -> None:
        self.body_received += len(data)
        sink = self._sink
        if sink is not None:
            if not self.upgraded:
                self._deadline.set(self._idle_timeout)
            sink.feed(data)
            if sink.paused:
                self.pause()
            return
        self._chunks.append(data)
        self._held += len(data)
        if self._held >= HIGH_WATER:
            self.pause()
        if self._body_waiter is not None:
            self._wake()

    def _finish(self) -> None:
        self.complete = True
        self._deadline.clear()
        if self._reading_paused:
            # The next exchange on this connection must find it reading, and its end must be seen.
            self.resume()
        if self._body_waiter is not None:
            self._wake()

    def _wake(self) -> None:
        waiter = self._body_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- whoever wants it

    def body_timeout(self, seconds: float, code: str) -> None:
        """Fail with `code` when somebody waits for the body and it pauses for `seconds`."""
        self._idle_timeout = seconds
        self._expiry = code

    def take_whole(self) -> bytes | None:
        """Return the body when all of it has arrived, else None and nothing is taken."""
        if not self.complete:
            return None
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def relay_at_once(self, sink: Sink) -> bool:
        """Feed the part of the body that is here to `sink`. Return whether that was all of it.

        Raises GatewayError when the body broke off.
        """
        chunks, self._chunks = self._chunks, []
        self._held = 0
        for chunk in chunks:
            sink.feed(chunk)
        if self._error is not None and not self.complete:
            raise self._error
        return self.complete

    async def relay(self, sink: Sink) -> None:
        """Feed the body to `sink` until it is complete. Raises GatewayError when it breaks off.

        No task runs per chunk: what arrives is written on at once, and `sink.paused` stops reading.
        """
        if self.relay_at_once(sink):
            return
        self._sink = sink
        if sink.paused:
            self.pause()
        else:
            self._deadline.set(self._idle_timeout)
            self.resume()
        await self._wait()
        self._sink = None

    async def _wait(self) -> None:
        self._body_waiter = self._loop.create_future()
        try:
            await self._body_waiter
        finally:
            self._body_waiter = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises GatewayError when it breaks off."""
        while True:
            while self._chunks:
                chunk = self._chunks.pop(0)
                self._held -= len(chunk)
                yield chunk
            if self.complete:
                return
            if self._error is not None:
                raise self._error
            # Only a wait for the target is timed: whoever reads here may take as long as it likes.
            self._deadline.set(self._idle_timeout)
            self.resume()
            await self._wait()
            self._deadline.clear()

    def pause(self) -> None:
        """Stop reading: the reader of the body is behind. Its slowness is not the target's."""
        if self.complete and not self.upgraded:
            return
        self._deadline.clear()
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._reading_paused and self.transport is not None:
            self._reading_paused = False
            self.transport.resume_reading()
            if self._sink is not None and not self.complete:
                self._deadline.set(self._idle_timeout)

    # -- what should not happen

    @property
    def error(self) -> GatewayError | None:
        """Why the exchange failed, by the target's fault or a timer; None while it did not."""
        return self._error

    def _fail(self, code: str) -> None:
        if self.busy and not self.complete and self._error is None:
            self._fail_with(GatewayError(code, log=self.label))

    def _fail_with(self, error: GatewayError) -> None:
        if self.complete or self._error is not None:
            return
        self._error = error
        self.keep = False
        for waiter in self._waiters():
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
                waiter.exception()  # nobody may be waiting: the loop must not complain of that
