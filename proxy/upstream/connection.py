"""One HTTP/1.1 connection to a target: its life, what is written to it, and its timers.

It carries one exchange at a time: `begin`, write a head and a body, wait for `head_waiter()`, then
relay the body into a sink as it arrives (`relay`) or iterate over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import httptools

from proxy.errors import GatewayError
from proxy.upstream.head import HeadBounds
from proxy.upstream.holding import HIGH_WATER, Sink
from proxy.upstream.reading import AnswerReader, Informational


class Connection(AnswerReader):
    """A connection that is being used, idle in its pool, or closed.

    Every wait ends by an answer, by `GatewayError`, or by a deadline that makes one. `reusable`
    tells, once the body is complete, whether another exchange may follow.
    """

    __slots__ = (
        "_drain_waiter",
        "_finishing",
        "_on_tunnel_end",
        "_stall_seconds",
        "_stalled_at",
        "_write_paused",
        "born",
        "idle_since",
        "on_closed",
        "on_writable",
        "uses",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, label: str = "") -> None:
        super().__init__(loop, label)
        self.born = self.idle_since = monotonic()
        self.uses = 0
        self.on_closed: Callable[[Connection], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self._on_tunnel_end: Callable[[GatewayError | None], None] | None = None
        self._write_paused = False
        self._drain_waiter: asyncio.Future[None] | None = None
        self._stall_seconds = 30.0
        self._stalled_at = 0
        self._finishing = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else "busy" if self.busy else "idle"
        return f"<Connection {self.label} {state} uses={self.uses}>"

    # -- life

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self.transport is None or self.transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether the exchange ended so that another may follow on this connection."""
        transport = self.transport
        ended = transport is None or transport.is_closing()
        return self.complete and self.keep and not ended and self._error is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # asyncio gives the base class
        transport.set_write_buffer_limits(high=HIGH_WATER)  # type: ignore[attr-defined]

    def eof_received(self) -> bool:
        super().eof_received()
        if self._on_tunnel_end is not None:
            self._on_tunnel_end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.close()
        self.transport = None
        self._broken_off()
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)
        if self.on_closed is not None:
            self.on_closed(self)
        if self._on_tunnel_end is not None:
            self._on_tunnel_end(None)

    def close(self) -> None:
        """Close now. Bytes that wait to be written are dropped: nobody would read an answer."""
        if self._finishing:
            return
        self._deadline.close()
        if self.transport is not None:
            self.transport.abort()

    def finish(self, seconds: float) -> None:
        """Close behind the bytes that wait to be written; a target that takes longer is cut off."""
        if self.transport is not None and not self._finishing:
            self._finishing = True
            self._deadline.set(seconds)
            self.transport.close()

    # -- writing

    def begin(
        self,
        method: str,
        bounds: HeadBounds,
        informational: Informational | None,
        *,
        upgrade: bool = False,
    ) -> None:
        """Start an exchange. `informational` is called for every 1xx but 100 and 101.

        Without `upgrade`, a 101 is an invalid answer.
        """
        self._reset()
        self._upgrade_asked = upgrade
        self.busy = True
        self.uses += 1
        self._method = method
        self._bounds = bounds
        self._informational = informational
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        if self.transport is None:
            # Lost between the handshake and now: nobody else would tell.
            self._broken_off()

    def write(self, data: bytes) -> None:
        """Send bytes; a lost connection is told by `head_waiter`, which may have an answer yet."""
        if self.transport is not None:
            self.transport.write(data)

    @property
    def writable(self) -> bool:
        """Whether `write` may go on without `drain`."""
        return not self._write_paused

    async def drain(self, seconds: float) -> None:
        """Wait until the target has read most of what was written, or has gone.

        Fails the exchange with `upstream_write_timeout` when it reads nothing for `seconds`.
        """
        if not self._write_paused or self.transport is None:
            return
        self._stall_seconds = seconds
        self._stalled_at = self.transport.get_write_buffer_size()
        self.expire_in(seconds, "upstream_write_timeout")
        self._drain_waiter = self._loop.create_future()
        await self._drain_waiter
        # From here on the gateway waits for the client, not for this target.
        self._deadline.clear()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if self.on_writable is not None:
            self.on_writable()

    # -- timers

    def expire_in(self, seconds: float, code: str) -> None:
        """Fail the exchange with `code` in `seconds`, unless this is called again before."""
        self._expiry = code
        self._deadline.set(seconds)

    def _expired(self) -> None:
        if self._drain_waiter is not None and self._still_reads():
            return
        self._fail(self._expiry)
        self._finishing = False
        self.close()

    def _still_reads(self) -> bool:
        """Whether the target, though behind, has read something since the timer was set."""
        waiting = 0 if self.transport is None else self.transport.get_write_buffer_size()
        progress = waiting < self._stalled_at
        if progress:
            self._stalled_at = waiting
            self._deadline.set(self._stall_seconds)
        return progress

    # -- tunnels

    def tunnel(self, sink: Sink, ended: Callable[[GatewayError | None], None]) -> None:
        """Feed all that comes to `sink`, without a deadline of our own, until the target ends."""
        self._deadline.close()
        self._on_tunnel_end = ended
        for chunk in self._chunks:
            sink.feed(chunk)
        self._chunks = []
        self._held = 0
        self._sink = sink
        if self.closed:
            ended(None)
        elif sink.paused:
            self.pause()
        else:
            self.resume()
