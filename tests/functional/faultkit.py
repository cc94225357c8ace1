"""What the tests of faults share: targets that misbehave on command, and a steady load.

A `Backend` is a real server that keeps its port over kills and restarts. A `Load` is a few clients
on keep-alive connections that ask at an even pace and write down how each request ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from proxy.upstream.pool import Upstream
from tests.functional.kit import Gateway, RawClient, request

PATH = "/api/brain/s/x"
_AT_ONCE = struct.pack("ii", 1, 0)


class Backend:
    """One target. `mode` says how it answers, from the next request on:

    ok · reset (before the head) · half (a head, half of a body, then reset) · hang (never) ·
    slow (in `delay` seconds) · a number (that status). `/health` answers `health`, without a count.
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
        if mode == "reset":
            reset(writer)
            raise ConnectionResetError
        if mode == "hang":
            await asyncio.sleep(3600)
        if mode == "slow":
            await asyncio.sleep(self.delay)
        if mode == "half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
            await asyncio.sleep(0.01)
            reset(writer)
            raise ConnectionResetError
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


def service(targets: Sequence[Backend | str], upstream: str = "", **keys: str) -> str:
    """Return a file with one public service `s` of `targets`.

    `upstream` has further keys of the upstream, `keys` of the service, both as YAML.
    """
    written = "".join(
        f"\n        - {one.url if isinstance(one, Backend) else one}" for one in targets
    )
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


def states(running: Gateway) -> str:
    """Return the states of all targets in the order of the file."""
    return " ".join(one.state for one in only(running).status().targets)


def nothing_is_held(running: Gateway) -> None:
    """Fail when a slot, a place in the queue or a request in flight is left."""
    for upstream in running.host.gateway.snapshot.upstreams.values():
        status = upstream.status()
        held = [one.in_flight for one in upstream.targets]
        assert (status.in_flight, status.waiting, sum(map(abs, held))) == (0, 0, 0), status


# -- load


@dataclass
class Outcome:
    """How one request ended: `status` is 0 when the connection broke. Times are in seconds."""

    at: float
    status: int
    body: bytes = b""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.status == 200


@dataclass
class Load:
    """What came of a load, and how to go on with it."""

    outcomes: list[Outcome] = field(default_factory=list)
    running: bool = True
    started: float = field(default_factory=perf_counter)

    def failures(self, since: float = 0.0) -> list[Outcome]:
        """Return what ended badly, of the requests that began behind `since`."""
        return [one for one in self.outcomes if not one.good and one.at >= since]

    def counts(self, since: float = 0.0) -> Counter[str]:
        """Return how many good answers each backend gave."""
        good = (one for one in self.outcomes if one.good and one.at >= since)
        return Counter(one.body.decode() for one in good)

    def now(self) -> float:
        """Return the time since the load began."""
        return perf_counter() - self.started


@contextlib.asynccontextmanager
async def load(
    running: Gateway,
    *,
    clients: int = 8,
    rate: float = 160.0,
    make: Callable[[int], bytes] = lambda _: request(PATH),
    timeout: float = 5.0,
) -> AsyncIterator[Load]:
    """Ask for as long as the block runs: `rate` requests a second of `clients` in all.

    Every request that was begun is waited for, so a request that hangs fails by `timeout`.
    """
    seen = Load()
    each = clients / rate
    tasks = [
        asyncio.ensure_future(_client(running, seen, each, at, clients, make, timeout))
        for at in range(clients)
    ]
    try:
        yield seen
    finally:
        seen.running = False
        await asyncio.gather(*tasks)


async def _client(
    running: Gateway,
    seen: Load,
    each: float,
    at: int,
    clients: int,
    make: Callable[[int], bytes],
    timeout: float,
) -> None:
    client: RawClient | None = None
    await asyncio.sleep(each * at / clients)
    number = at
    while seen.running:
        began = seen.now()
        try:
            if client is None:
                client = await running.client()
                client.timeout = timeout
            client.send(make(number))
            reply = await client.reply()
            outcome = Outcome(began, reply.status, reply.body)
            if reply.header("Connection") == "close":
                client.close()
                client = None
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            outcome = Outcome(began, 0)
            if client is not None:
                client.close()
            client = None
        outcome.seconds = seen.now() - began
        seen.outcomes.append(outcome)
        number += clients
        await asyncio.sleep(max(0.0, each - outcome.seconds))
    if client is not None:
        client.close()
