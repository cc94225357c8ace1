"""Clients that take a large body slowly, then to its end."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class SlowReaders:
    """``count`` connections, each downloading ``size`` bytes from ``path``."""

    port: int
    path: str
    size: int
    count: int = 100

    async def read(self, seconds: float) -> int:
        """64 KiB every 100 ms for ``seconds``, then as fast as it comes. Returns how many were cut.

        The slow part shows whether the proxy buffers what nobody takes (the upstream would fill it
        within a few seconds); the fast one, that every byte was still there.
        """
        until = time.monotonic() + seconds
        received = await asyncio.gather(*(self._one(until) for _ in range(self.count)))
        return sum(count < self.size for count in received)

    async def _one(self, until: float) -> int:
        """Bytes received, head included."""
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", self.port))
            request = f"GET {self.path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
            await loop.sock_sendall(client, request.encode())
            received = 0
            while time.monotonic() < until and (data := await loop.sock_recv(client, 65536)):
                received += len(data)
                await asyncio.sleep(0.1)
            room = bytearray(256 * 1024)
            while count := await asyncio.wait_for(loop.sock_recv_into(client, room), 60):
                received += count
            return received
