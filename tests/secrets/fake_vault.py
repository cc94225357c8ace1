"""A server that does what a real one can't be made to do: scripted bytes for each request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

LOOKUP = {"data": {"ttl": 0, "expire_time": None, "renewable": False, "type": "service"}}
SECRET = {"data": {"data": {"a": "1"}, "metadata": {"version": 1}}}


class FakeVault:
    """Answers `lookup-self` well, and all else by `script`: bytes, or a mode.

    `silent` never answers, `drip` sends a byte of the body now and then, `closed` closes at once.
    """

    def __init__(self) -> None:
        self.script: bytes | str = answer(200, SECRET)
        self.scripts: dict[str, bytes | str] = {}
        """Instead of `script`, for paths that begin so behind `/v1/`."""
        self.paths: list[str] = []
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._open: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            await reader.readexactly(int(length or 0))
            path = head.split()[1].decode()
            self.paths.append(path)
            self.heads.append(head)
            lookup = path.endswith("/lookup-self")
            said = answer(200, LOOKUP) if lookup and self.script != "silent" else self._of(path)
            if isinstance(said, bytes):
                writer.write(said)
            elif said == "closed":
                return
            elif said == "drip":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.1)
            else:
                await asyncio.sleep(60)

    def _of(self, path: str) -> bytes | str:
        below = path.removeprefix("/v1/")
        mounts = self.scripts.items()
        return next((said for mount, said in mounts if below.startswith(mount)), self.script)

    def stop(self) -> None:
        for task in self._open:
            task.cancel()


def answer(status: int, body: Any = None, fields: Mapping[str, str] | None = None) -> bytes:
    """Return a whole answer; `body` is JSON, or bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Length": str(len(content)), **(fields or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + content


@asynccontextmanager
async def faking() -> AsyncIterator[FakeVault]:
    """Run one on a free port."""
    fake = FakeVault()
    server = await asyncio.start_server(fake.connected, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.stop()
        await asyncio.sleep(0)
