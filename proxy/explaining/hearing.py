"""One request, heard by the server's own side of a connection that leads nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from proxy.config.models import Gateway
from proxy.errors import GatewayError
from proxy.server.protocol import ClientConnection
from proxy.server.request import Request
from proxy.server.server import GatewayServer


class Heard(NamedTuple):
    """A request as the gateway has it; `error` is what the parser, or a check behind it, refuses."""

    connection: ClientConnection
    request: Request
    error: GatewayError | None


@asynccontextmanager
async def hearing(gateway: Gateway, raw: bytes, address: str) -> AsyncIterator[Heard]:
    """Parse `raw` as it would be if `address` had sent it, within the limits of the file."""
    ears = _Ears()
    server = GatewayServer(ears, gateway.limits, gateway.timeouts, _anybody)
    connection = server()
    connection.connection_made(_Nowhere(address, secure=gateway.tls is not None))
    try:
        connection.data_received(raw)
        yield await ears.heard
    finally:
        connection.connection_lost(None)
        await asyncio.sleep(0)  # its task ends in the loop's next turn


def _anybody(_address: str) -> bool:
    return True


class _Ears:
    """What the server hands requests to, in the gateway's place. Nothing is answered."""

    def __init__(self) -> None:
        self.heard: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()

    def serve(self, connection: ClientConnection, request: Request) -> Coroutine[Any, Any, bool]:
        return self._keep(Heard(connection, request, None))

    def refuse(
        self, connection: ClientConnection, request: Request, error: GatewayError
    ) -> Coroutine[Any, Any, bool]:
        return self._keep(Heard(connection, request, error))

    async def _keep(self, heard: Heard) -> bool:
        # What stands behind a body's announced end would be a second request.
        if not self.heard.done():
            self.heard.set_result(heard)
        return False


class _Nowhere(asyncio.Transport):
    """The transport of nobody: what is written to it is gone."""

    def __init__(self, address: str, *, secure: bool) -> None:
        tls = {"sslcontext": True} if secure else {}
        super().__init__({"peername": (address, 0), **tls})

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def write(self, data: Any) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass
