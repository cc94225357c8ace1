"""Turns of the loop that a test over sockets can't force."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from proxy.config.models import ServerLimits, ServerTimeouts
from proxy.errors import GatewayError
from proxy.server.protocol import ClientConnection
from proxy.server.request import Request
from proxy.server.server import GatewayServer


class Echo:
    """An application that answers with what was asked for."""

    async def serve(self, connection: ClientConnection, request: Request) -> bool:
        assert connection.transport is not None
        connection.transport.write(request.target.encode())
        return True

    def refuse(
        self, connection: ClientConnection, request: Request, error: GatewayError
    ) -> Coroutine[Any, Any, bool]:
        raise AssertionError(error.code)


async def test_a_timer_between_a_requests_arrival_and_its_turn_does_not_drop_it() -> None:
    server = GatewayServer(Echo(), ServerLimits(), ServerTimeouts(), lambda _: False)
    made: list[ClientConnection] = []

    def connection() -> ClientConnection:
        made.append(server())
        return made[-1]

    loop = asyncio.get_running_loop()
    listening = await loop.create_server(connection, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.02)
    made[0].data_received(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(0)
    made[0].data_received(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    made[0]._on_timer()
    try:
        async with asyncio.timeout(1):
            assert await reader.readexactly(13) == b"/first/second"
    finally:
        writer.close()
        listening.close()
        await asyncio.sleep(0.02)
