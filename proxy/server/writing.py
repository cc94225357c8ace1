"""What goes to a client: backpressure, a bound on slow readers, an end that can't be mistaken.

Names of aiohttp's that begin with an underscore are pinned as those of `protocol` are.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Protocol

from aiohttp.web_protocol import RequestHandler

from proxy.timer import Deadline


class Reader(Protocol):
    """Whoever feeds this connection and must hold while the client is behind."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class WritingSide(RequestHandler):
    """The half of a client's connection that writes."""

    __slots__ = (
        "_reader",
        "_stall_seconds",
        "_stalled_at",
        "_write_timer",
        "cut",
        "too_slow",
    )

    def __init__(self, server: Any, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(server, loop=loop, **kwargs)
        self._write_timer = Deadline(loop, self._on_write_stall)
        self._stall_seconds = 30.0
        self._stalled_at = 0
        self._reader: Reader | None = None
        self.cut = False
        self.too_slow = False

    def flow(self, reader: Reader | None, stall_seconds: float) -> None:
        """Tell `reader` to hold while the client is behind; one that reads nothing is cut off."""
        self._reader = reader
        self._stall_seconds = stall_seconds
        if self._paused:
            self._write_timer.set(stall_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reader is not None:
            self._reader.pause()
        self._stalled_at = self._buffered()
        self._write_timer.set(self._stall_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_timer.clear()
        if self._reader is not None:
            self._reader.resume()

    def _buffered(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def _on_write_stall(self) -> None:
        waiting = self._buffered()
        if waiting < self._stalled_at:
            self._stalled_at = waiting
            self._write_timer.set(self._stall_seconds)
        else:
            self.too_slow = True
            self.abort()

    @property
    def behind(self) -> bool:
        """Whether the client has yet to read what was written."""
        return self._paused

    async def drained(self) -> None:
        """Wait until the client has read most of what was written. Raises ConnectionError."""
        if self._paused:
            await self._drain_helper()

    def abort(self) -> None:
        """Break the connection so that the client can't take it for a clean end: a reset."""
        transport = self.transport
        if transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # Without SO_LINGER 0 both close() and abort() send a FIN, which ends a close-delimited
            # body as if it were whole.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    @property
    def parting(self) -> str:
        """Why this connection ended before its answer did: an error's code."""
        if self.cut:
            return "cut_at_shutdown"
        return "client_too_slow" if self.too_slow else "client_left"
