"""An upstream's body and its connection: reading to the end gives the connection back."""

from __future__ import annotations

from collections.abc import AsyncIterator

from proxy.codes import Side
from proxy.config.models import Timeouts
from proxy.errors import GatewayError
from proxy.headers import Field
from proxy.plugin.exchange import Attempt
from proxy.upstream.connection import Connection
from proxy.upstream.holding import Sink
from proxy.upstream.pool import Upstream
from proxy.upstream.standing import Standing
from proxy.upstream.target import Target


class Lease:
    """The right to one slot of an upstream, and the connection that was taken for it, if any.

    `status` is what the target answered, 0 before. `tried` are the targets of tries that are over,
    `until` is when the last one must be, in seconds since the exchange began. `end` may be called at
    any time and more than once: a complete exchange gives its connection back to the pool, any
    other closes it, and the target is judged by what came.
    """

    __slots__ = ("connection", "ended", "status", "target", "tried", "until", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.target: Target | None = None
        self.connection: Connection | None = None
        self.status = 0
        self.tried: tuple[Target, ...] = ()
        self.until: float | None = None
        self.ended = False

    def take(self, target: Target) -> None:
        """Begin a try at `target`. Raises GatewayError when the lease ended meanwhile."""
        if self.ended:
            raise called_again()
        self.target = target
        target.in_flight += 1
        standing = target.standing
        if standing is not None and standing.breaker is not None:
            breaker = standing.breaker
            if not breaker.untroubled:
                breaker.taken(self)

    def begun(self) -> None:
        """Tell that what follows the head may last as long as the target, or the client, likes."""
        if self.target is not None and self.target.standing is not None:
            self.target.standing.begun(self.status, self)

    async def connect(self, timeouts: Timeouts, attempt: Attempt, started: float) -> Connection:
        """Open a connection to `target` and hold it. Raises GatewayError.

        When the lease ended meanwhile, nobody would give the connection back: it is closed.
        """
        assert self.target is not None
        connection = await self.upstream.connect(self.target, timeouts, attempt, started)
        if self.ended:
            connection.close()
            raise called_again()
        self.connection = connection
        return connection

    def let_go(self, error: GatewayError | None = None, *, stale: bool = False) -> None:
        """End a try, which failed by `error`, and keep the slot for another.

        Of a `stale` connection, that the target had closed before, nothing is held against it.
        """
        target = self.target
        if target is None or self.ended:
            return
        self._leave(target, error, stale=stale)
        self.target = self.connection = None
        self.tried = (*self.tried, target)
        self.status = 0

    def end(self) -> None:
        """Give slot and connection back."""
        if self.ended:
            return
        self.ended = True
        target = self.target
        if target is not None:  # what `_leave` does, without a call for every request
            target.in_flight -= 1
            if target.standing is not None:
                self._judge(target.standing, None)
            if self.connection is not None:
                self.upstream.give_back(target, self.connection)
        self.upstream.leave()

    def _leave(self, target: Target, error: GatewayError | None, *, stale: bool = False) -> None:
        connection = self.connection
        target.in_flight -= 1
        if target.standing is not None:
            if stale:
                target.standing.undecided(self)
            else:
                self._judge(target.standing, error)
        if connection is not None:
            self.upstream.give_back(target, connection)

    def _judge(self, standing: Standing, error: GatewayError | None) -> None:
        """Tell a target's standing how a try ended; a client that left says nothing of it.

        Of a 5xx the head says all, and its body is dropped where it is tried again.
        """
        connection = self.connection
        if error is None and connection is not None:
            status = self.status
            whole = connection.complete or connection.upgraded
            if status and (whole or (status >= 500 and connection.error is None)):
                standing.answered(status, self)
                return
            error = connection.error
        if error is not None and error.side is Side.UPSTREAM and error.code != "stream_timeout":
            standing.failed(error, self)
        else:
            standing.undecided(self)


def called_again() -> GatewayError:
    """Return the error of a call whose lease ended while it waited."""
    return GatewayError(
        "gateway_failed", log="a plugin called the handler again before it had answered"
    )


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

    def relay_at_once(self, sink: Sink) -> bool:
        """Feed what is here to `sink`. Return whether that was all. Raises GatewayError."""
        if self._lease.ended:
            raise _discarded()
        return self._connection.relay_at_once(sink)

    async def relay(self, sink: Sink) -> None:
        """Feed all of it to `sink`. Raises GatewayError when it breaks off."""
        await self._connection.relay(sink)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._lease.ended:
            raise _discarded()
        async for chunk in self._connection:
            yield chunk
            if self._lease.ended:
                raise _discarded()

    def pause(self) -> None:
        """Hold: the client is behind."""
        self._connection.pause()

    def resume(self) -> None:
        """Go on."""
        self._connection.resume()

    def close(self) -> None:
        """Drop what is left of the body."""
        self._lease.end()


def _discarded() -> GatewayError:
    """Its connection may serve another exchange by now, whose body is nobody's business here."""
    return GatewayError("gateway_failed", log="the body of a discarded answer was read")
