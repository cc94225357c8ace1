"""What the tests of faults share: targets that misbehave on command, real servers each.

A `Backend` keeps its port over kills and restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import textwrap
from collections.abc import AsyncIterator, Iterable, Sequence

from proxy.upstream.pool import Upstream
from tests.functional import probe
from tests.functional.kit import Gateway, Reply

PATH = "/api/brain/s/x"
_AT_ONCE = struct.pack("ii", 1, 0)


class Backend:
    """One target. `mode` says how it answers, from the next request on:

    ok · reset (before the head) · half (a head, half of a body, then reset) · hang (never) ·
    slow (in `delay` seconds) · stream (events without end) · hint (a 103, then reset) · a number
    (that status) · 503 in parts (its body comes later). `/health` answers `health`, without a count.
    """

    def __init__(self, name: str, address: str = "127.0.0.1", port: int = 0) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.mode = "ok"
        self.delay = 1.0
        self.health = 200
        self.fields: tuple[str, ...] = ()
        self.requests = 0
        self.connections = 0
        self.checks = 0
        self.busy = 0
        self.most_busy = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._epoch = 0
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(
            self._connected, self.address, self.port, reuse_address=True, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Die: nothing listens any more, and every connection is reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._open)
        for task, writer in list(self._open.items()):
            reset(writer)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget(self) -> None:
        """Know no connection any more, as a NAT does behind a restart: each is reset when it is used."""
        self._epoch += 1

    async def restart(self, seconds: float) -> None:
        """Be away for a time."""
        await self.kill()
        await asyncio.sleep(seconds)
        await self.start()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted in the turn in which it died
            reset(writer)
            return
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        epoch = self._epoch
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if epoch != self._epoch:
                    reset(writer)
                    return
                body = await _body(reader, head)
                if head.startswith(b"GET /health "):
                    self.checks += 1
                    writer.write(_answer(self.health, b"", ()))
                    continue
                self.requests += 1
                self.heads.append(head)
                self.bodies.append(body)
                self.busy += 1
                self.most_busy = max(self.busy, self.most_busy)
                try:
                    await self._answer(writer, head)
                finally:
                    self.busy -= 1
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, head: bytes) -> None:
        mode = self.mode
        if mode == "hint":
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            await asyncio.sleep(0.02)
        if mode in ("reset", "hint"):
            reset(writer)
            raise ConnectionResetError
        if mode == "hang":
            await asyncio.sleep(3600)
        if mode == "stream":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            await asyncio.sleep(3600)
        if mode == "slow":
            await asyncio.sleep(self.delay)
        if mode == "half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
            await asyncio.sleep(0.01)
            reset(writer)
            raise ConnectionResetError
        if mode == "503 in parts":
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n")
            await asyncio.sleep(0.05)
            writer.write(b"come back")
            return
        status = int(mode) if mode.isdigit() else 200
        body = b"" if head.startswith(b"HEAD ") else self.name.encode()
        writer.write(_answer(status, body, self.fields))


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body
    _, found, rest = lower.partition(b"\r\ncontent-length: ")
    return await reader.readexactly(int(rest.split(b"\r\n", 1)[0])) if found else b""


def _answer(status: int, body: bytes, fields: Iterable[str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Some", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection by a RST."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


@contextlib.asynccontextmanager
async def backends(number: int = 3) -> AsyncIterator[list[Backend]]:
    """Run so many backends, named a, b and so on."""
    made = [Backend(chr(ord("a") + at)) for at in range(number)]
    for one in made:
        await one.start()
    yield made
    for one in made:
        await one.kill()
    await asyncio.sleep(0.01)


def service(
    targets: Sequence[Backend | str],
    upstream: str = "",
    spare: Backend | None = None,
    **keys: str,
) -> str:
    """Return a file with one public service `s` of `targets`, of which `spare` is the backup.

    `upstream` has further keys of the upstream, `keys` of the service, both as YAML.
    """
    written = "".join(
        f"\n        - {one.url if isinstance(one, Backend) else one}" for one in targets
    )
    if spare is not None:
        written += f"\n        - {{url: {spare.url}, backup: true}}"
    own = textwrap.indent(textwrap.dedent(upstream).strip("\n"), " " * 6)
    others = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return (
        "version: 1\nplugins:\n"
        '  - {use: "tests.functional.probe:record"}\n'
        "services:\n  s:\n    public: true\n"
        f"{others}    upstream:\n      targets:{written}\n{own}\n"
    )


def only(running: Gateway) -> Upstream:
    """Return the one upstream of a gateway."""
    (found,) = running.host.gateway.snapshot.upstreams.values()
    return found


def code(reply: Reply) -> str:
    """Return the code of a problem."""
    return str(json.loads(reply.body)["code"])


def total(made: Sequence[Backend]) -> int:
    """Return how many requests arrived anywhere."""
    return sum(one.requests for one in made)


def all_are(made: Sequence[Backend], mode: str) -> None:
    """Make all of them answer in one way."""
    for one in made:
        one.mode = mode


def words() -> list[str | None]:
    """Return why the last exchange was tried again, or not, for each of its tries."""
    return [attempt.again for attempt in probe.FINISHED[-1].attempts]


def states(running: Gateway) -> str:
    """Return the states of all targets in the order of the file."""
    return " ".join(one.state for one in only(running).status().targets)


def nothing_is_held(running: Gateway) -> None:
    """Fail when a slot, a place in the queue or a request in flight is left."""
    for upstream in running.host.gateway.snapshot.upstreams.values():
        status = upstream.status()
        held = [one.in_flight for one in upstream.targets]
        assert (status.in_flight, status.waiting, sum(map(abs, held))) == (0, 0, 0), status
