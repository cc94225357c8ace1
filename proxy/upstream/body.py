"""An upstream's body and the connection it comes on: reading to the end gives the connection back."""

from __future__ import annotations

from collections.abc import AsyncIterator

from proxy.headers import Field
from proxy.upstream.connection import Connection, Sink
from proxy.upstream.pool import Upstream
from proxy.upstream.target import Target


class Lease:
    """The right to one slot of an upstream, and the connection that was taken for it, if any.

    `end` may be called at any time and more than once: a complete exchange gives its connection back
    to the pool, any other closes it.
    """

    __slots__ = ("_ended", "connection", "target", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.target: Target | None = None
        self.connection: Connection | None = None
        self._ended = False

    def drop(self) -> None:
        """Close the connection and keep the slot, for another try."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def end(self) -> None:
        """Give slot and connection back."""
        if self._ended:
            return
        self._ended = True
        if self.connection is not None and self.target is not None:
            self.upstream.give_back(self.target, self.connection)
        self.upstream.leave()


class UpstreamBody:
    """The body of one answer: relayed raw into a sink, or iterated over by a plugin.

    `length` is the announced length in bytes, None when it is open. `write_timeout` is how long, in
    seconds, the client may not read before it is cut off.
    """

    __slots__ = ("_connection", "_lease", "length", "write_timeout")

    def __init__(
        self, lease: Lease, connection: Connection, length: int | None, write_timeout: float
    ) -> None:
        self._lease = lease
        self._connection = connection
        self.length = length
        self.write_timeout = write_timeout

    @property
    def trailers(self) -> list[Field]:
        """What came behind the last chunk."""
        return self._connection.trailers

    def whole(self) -> bytes | None:
        """Return the body when all of it is here and its length was announced, else None."""
        return None if self.length is None else self._connection.take_whole()

    def relay_at_once(self, sink: Sink) -> bool:
        """Feed what is here to `sink`. Return whether that was all. Raises GatewayError."""
        return self._connection.relay_at_once(sink)

    async def relay(self, sink: Sink) -> None:
        """Feed all of it to `sink`. Raises GatewayError when it breaks off."""
        await self._connection.relay(sink)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._connection)

    def pause(self) -> None:
        """Hold: the client is behind."""
        self._connection.pause()

    def resume(self) -> None:
        """Go on."""
        self._connection.resume()

    def close(self) -> None:
        """Drop what is left of the body."""
        self._lease.end()
