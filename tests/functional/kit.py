"""Raw clients and scripted upstreams: where a test speaks of bytes, it sees bytes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.hosting import Host

Script = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Gateway:
    """A running gateway: its ports, its files, and shortcuts to talk to it."""

    host: Host
    path: Path
    clients: list[RawClient] = field(default_factory=list)
    stopped: bool = False

    @property
    def port(self) -> int:
        return self.host.listener.port

    @property
    def admin_port(self) -> int:
        return self.host.admin_port

    async def client(self, **options: object) -> RawClient:
        """Open a raw connection to the public listener."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **options)  # type: ignore[arg-type]
        made = RawClient(reader, writer)
        self.clients.append(made)
        return made

    async def ask(self, raw: bytes) -> Reply:
        """Send raw bytes on a connection of their own and return the first answer."""
        client = await self.client()
        client.send(raw)
        reply = await client.reply(head_only=raw.startswith(b"HEAD "))
        client.close()
        return reply

    async def get(
        self, target: str, *headers: str, method: str = "GET", body: bytes = b""
    ) -> Reply:
        """Send a plain request on a connection of its own and return the answer."""
        return await self.ask(request(target, *headers, method=method, body=body))

    async def admin(self, page: str, host: str = "localhost") -> Reply:
        """Ask the admin listener for a page."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.admin_port)
        client = RawClient(reader, writer)
        self.clients.append(client)
        client.send(f"GET {page} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return await client.reply()

    async def reload(self) -> str | None:
        """Load the files again. Return None, or why they were refused."""
        return (await self.host.reloader.reload("test")).error

    async def stop(self) -> None:
        for client in self.clients:
            client.close()
        # Aborted transports say so in the loop's next turn.
        await asyncio.sleep(0)
        if not self.stopped:
            self.stopped = True
            await self.host.stop()


def request(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Make a request's bytes; Content-Length is added where there is a body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway.test", *headers]
    if body and not any(h.lower().startswith("content-length") for h in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass
class Reply:
    """One answer as it came: `raw_head` has the exact bytes, `body` is dechunked."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    raw_head: bytes
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None


class RawClient:
    """A client's connection in bytes. Reads give up after `timeout` seconds."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float = 5.0
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.timeout = timeout

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    async def head(self) -> Reply:
        """Read one head."""
        async with asyncio.timeout(self.timeout):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        return _parse_head(raw)

    async def reply(self, *, head_only: bool = False) -> Reply:
        """Read one whole answer, by its framing. Raises IncompleteReadError when it breaks off."""
        found = await self.head()
        bodiless = head_only or found.status in (204, 304) or found.status < 200
        if bodiless:
            return found
        async with asyncio.timeout(self.timeout):
            if "chunked" in (found.header("Transfer-Encoding") or ""):
                await self._chunked(found)
            elif (length := found.header("Content-Length")) is not None:
                found.body = await self.reader.readexactly(int(length))
            else:
                found.body = await self.reader.read()
        return found

    async def _chunked(self, found: Reply) -> None:
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            found.chunks.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
        found.body = b"".join(found.chunks)
        while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            found.trailers.append((name, value.strip()))

    async def rest(self) -> bytes:
        """Read until the gateway closes. Raises ConnectionResetError when it resets."""
        async with asyncio.timeout(self.timeout):
            return await self.reader.read()

    async def closed(self) -> bool:
        """Tell whether the gateway ends the connection, cleanly or not, without sending more."""
        try:
            return await self.rest() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.transport.abort()


def _parse_head(raw: bytes) -> Reply:
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    _, status, reason = [*first.split(" ", 2), ""][:3]
    fields = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
    return Reply(int(status), reason, fields, raw)


class RawUpstream:
    """Plays a script on every connection: bytes are sent after a request's head has come."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.requests: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._play(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                if callable(self.script):
                    await self.script(reader, writer)
                else:
                    self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                    writer.write(self.script)
                    await writer.drain()
        finally:
            writer.close()

    async def close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # closed transports say so in the loop's next turns


@dataclass
class Seen:
    """A request as the upstream received it."""

    line: str
    raw_head: bytes
    fields: list[tuple[str, str]]
    body: bytes

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None


class RecordingUpstream(RawUpstream):
    """Keeps connections alive, records every request, answers `answer` to each, once `hold` is set."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.answer: bytes = OK
        self.hold: asyncio.Event | None = None
        self.seen: list[Seen] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            raw = await reader.readuntil(b"\r\n\r\n")
            first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
            fields = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
            seen = Seen(first, raw, fields, b"")
            seen.body = await _body(reader, seen)
            self.seen.append(seen)
            if self.hold is not None:
                await self.hold.wait()
            writer.write(self.answer)
            await writer.drain()

    @property
    def last(self) -> Seen:
        return self.seen[-1]


async def _body(reader: asyncio.StreamReader, seen: Seen) -> bytes:
    if "chunked" in (seen.header("Transfer-Encoding") or ""):
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        return body
    return await reader.readexactly(int(seen.header("Content-Length") or 0))
