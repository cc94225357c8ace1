"""`brain run --workers 2` as processes, an upstream in this one, and raw connections between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.socket_client import ask
from tests.cli.kit import GatewayProcess
from tests.functional.kit import RawClient, RecordingUpstream, Reply

Start = Callable[..., Awaitable["Workers"]]

SETTINGS = (
    "  shutdown: {grace: 0s, drain: 3s}\n"
    "  limits: {per_address: 4096}\n"
    "  expose: {health: private, ready: private, metrics: private}\n"
)
TOLD = '{use: "tests.workers.plugins:tell_worker"}'


def services(url: str, *plugins: str, more: str = "") -> str:
    """Return a file's text with one service, `echo`."""
    listed = ", ".join((TOLD, *plugins))
    return f'plugins: [{listed}]\nservices:\n  echo: {{upstream: "{url}", public: true}}\n{more}'


class Workers:
    """A gateway with workers."""

    def __init__(self, process: GatewayProcess) -> None:
        self.process = process
        self.clients: list[RawClient] = []
        self.exit_code = 0
        self.has_bugs = False

    async def client(self) -> RawClient:
        opened = await asyncio.open_connection("127.0.0.1", self.process.port)
        self.clients.append(RawClient(*opened))
        return self.clients[-1]

    async def get(self, target: str, port: int = 0) -> Reply:
        opened = await asyncio.open_connection("127.0.0.1", port or self.process.port)
        client = RawClient(*opened, timeout=10.0)
        client.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        try:
            return await client.reply()
        finally:
            client.close()

    async def admin(self, page: str) -> Reply:
        return await self.get(page, self.process.admin_port)

    async def ask(self, method: str, target: str) -> tuple[int, dict[str, Any]]:
        """Ask the control socket."""
        return await asyncio.to_thread(ask, str(self.process.control), method, target, 60.0)

    async def reload(self, text: str) -> tuple[int, dict[str, Any]]:
        self.process.write(text)
        return await self.ask("POST", "/reload")

    async def status(self) -> dict[str, Any]:
        return (await self.ask("GET", "/status"))[1]

    async def pids(self) -> list[int]:
        return [one["pid"] for one in (await self.status())["workers"]]

    async def until(self, text: str, times: int = 1) -> None:
        """Wait until the log holds `text` as often as that."""
        await asyncio.to_thread(self.process.wait_for, text, times)

    async def ended(self, within: float = 10.0) -> int:
        return await asyncio.to_thread(self.process.process.wait, within)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a gateway with workers: `await start(text)`. Every process of it has to end."""
    started: list[Workers] = []

    async def make(text: str, *options: str, workers: int = 2, settings: str = SETTINGS) -> Workers:
        process = await asyncio.to_thread(
            GatewayProcess,
            tmp_path,
            text,
            *("--no-watch", "--workers", str(workers), *options),
            settings=settings,
        )
        started.append(Workers(process))
        return started[-1]

    yield make
    for each in started:
        for client in each.clients:
            client.close()
        await asyncio.sleep(0)
        assert await asyncio.to_thread(each.process.end) == each.exit_code
        assert ("Traceback (" in each.process.log) == each.has_bugs


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    server = RecordingUpstream()
    await server.start()
    yield server
    await server.close()
