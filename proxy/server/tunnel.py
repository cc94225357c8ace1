"""After a 101: bytes both ways, untouched."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.errors import GatewayError
from proxy.timer import Deadline

if TYPE_CHECKING:
    from proxy.plugin.exchange import Exchange
    from proxy.server.protocol import ClientConnection
    from proxy.upstream.connection import Connection

EARLY_BYTES = 64 * 1024
"""Bytes held of a client that sends before the tunnel is open."""


class UpgradeTunnel:
    """Joins a client's connection to an upstream's until one of them ends.

    It must be attached as soon as the upstream's 101 is in: bytes that the client sends early would
    be parsed as HTTP. Ping frames, extensions and close codes pass as they are; since frames are
    not read, none is invented when the tunnel is cut. Without a byte either way for `idle` seconds
    it breaks; so it does when one side reads nothing for `stall` seconds.
    """

    def __init__(
        self,
        client: ClientConnection,
        upstream: Connection,
        exchange: Exchange,
        idle: float,
        stall: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._client = client
        self._upstream = upstream
        self._exchange = exchange
        self._idle = idle
        self._stall = stall
        self._deadline = Deadline(loop, self._expired)
        self._ended: asyncio.Future[None] = loop.create_future()
        self._early: list[bytes] = []
        self._early_size = 0
        self._open = False

    # -- client to upstream: what aiohttp asks of a payload parser

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes from the client."""
        self._exchange.received += len(data)
        if self._open:
            self._pass_on(data)
        else:
            self._hold(data)
        return False, b""

    def feed_eof(self) -> None:
        """The client has gone."""
        self._end(None)

    def _hold(self, data: bytes) -> None:
        self._early.append(data)
        self._early_size += len(data)
        if self._early_size >= EARLY_BYTES:
            self._client.hold_reading()

    def _pass_on(self, data: bytes) -> None:
        self._deadline.set(self._idle)
        self._upstream.write(data)
        if not self._upstream.writable:
            self._client.hold_reading()

    # -- upstream to client: a sink

    @property
    def paused(self) -> bool:
        """Whether the client is behind."""
        return self._client.behind

    def feed(self, data: bytes) -> None:
        """Take bytes from the upstream."""
        self._exchange.sent += len(data)
        self._deadline.set(self._idle)
        if self._client.transport is not None:
            self._client.transport.write(data)

    # -- life

    async def run(self) -> None:
        """Pass bytes until one side ends. Raises GatewayError when the tunnel was idle too long."""
        self._upstream.on_writable = self._client.release_reading
        self._client.flow(self._upstream, self._stall)
        self._deadline.set(self._idle)
        self._open_up()
        self._upstream.tunnel(self, self._end)
        try:
            await self._ended
        finally:
            self._deadline.close()
            self._client.flow(None, self._stall)
            # What the client said last, a close frame mostly, must arrive.
            self._upstream.finish(self._stall)

    def _open_up(self) -> None:
        self._open = True
        for data in self._early:
            self._pass_on(data)
        self._early.clear()
        if self._upstream.writable:
            self._client.release_reading()

    def _expired(self) -> None:
        self._end(GatewayError("stream_timeout"))

    def _end(self, error: GatewayError | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
