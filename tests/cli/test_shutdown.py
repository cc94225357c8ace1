"""SIGTERM and SIGHUP on the real process: nothing that was sent before the FIN is lost (row 31)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.cli.kit import GatewayProcess
from tests.functional.kit import OK, RawClient, RawUpstream, RecordingUpstream, Script, request

Start = Callable[..., Awaitable[GatewayProcess]]
Connect = Callable[[int], Awaitable[RawClient]]
MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
SETTINGS = "  shutdown: {{grace: {grace}, drain: {drain}}}\n  limits: {{per_address: 4096}}\n"


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
async def start(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    """Start a gateway process for one service: `await start(url, grace="0s", drain="2s")`."""
    started: list[GatewayProcess] = []

    async def make(url: str, grace: str = "0s", drain: str = "3s") -> GatewayProcess:
        process = await asyncio.to_thread(
            GatewayProcess,
            tmp_path,
            f'services:\n  echo: {{upstream: "{url}", public: true}}\n',
            *("--no-watch", "--workers", str(request.param)),
            settings=SETTINGS.format(grace=grace, drain=drain),
        )
        started.append(process)
        return process

    yield make
    for process in started:
        assert await asyncio.to_thread(process.end) == 0
        assert "Traceback" not in process.log


@pytest.fixture
async def raw_upstream() -> AsyncIterator[MakeUpstream]:
    servers: list[RawUpstream] = []

    async def make(script: Script) -> RawUpstream:
        server = RawUpstream(script)
        await server.start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        await server.close()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open raw connections, closed after the test: `await connect(port)`."""
    opened: list[RawClient] = []

    async def make(port: int) -> RawClient:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", port))
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()
    await asyncio.sleep(0)


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    server = RecordingUpstream()
    await server.start()
    yield server
    await server.close()


async def ended(process: GatewayProcess, within: float = 5.0) -> int:
    return await asyncio.to_thread(process.process.wait, within)


async def test_what_is_in_flight_at_sigterm_is_finished(
    start: Start, connect: Connect, raw_upstream: MakeUpstream
) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/upload" in head:
            body = await reader.readexactly(100_000)
            writer.write(OK if body == b"x" * 100_000 else b"")
        elif b"/download" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
            await go.wait()
            writer.write(b"x" * 100_000)
        elif b"/events" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
            writer.write(b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
            await go.wait()
            writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        elif b"/tunnel" in head:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
            writer.write(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            while data := await reader.read(100):
                writer.write(data)
        else:
            await go.wait()
            writer.write(OK)
        await writer.drain()

    process = await start((await raw_upstream(script)).url)
    upload, download, events, tunnel, slow, idle = [await connect(process.port) for _ in range(6)]
    upload.send(
        b"POST /api/brain/echo/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    )
    upload.send(b"x" * 50_000)
    download.send(request("/api/brain/echo/download"))
    events.send(request("/api/brain/echo/events"))
    tunnel.send(
        request(
            "/api/brain/echo/tunnel",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
    )
    slow.send(request("/api/brain/echo/slow"))
    assert (await events.head()).status == 200
    assert (await tunnel.head()).status == 101
    started = await download.head()

    process.signal(signal.SIGTERM)
    assert await idle.closed()

    tunnel.send(b"ping")
    assert await tunnel.reader.readexactly(4) == b"ping"
    upload.send(b"x" * 50_000)
    reply = await upload.reply()
    assert (reply.status, reply.header("Connection")) == (200, "close")
    go.set()
    assert started.header("Content-Length") == "200000"
    assert await download.reader.readexactly(200_000) == b"x" * 200_000
    await events.reader.readuntil(b"data: 2\n\n\r\n0\r\n\r\n")
    assert (await slow.reply()).status == 200
    for client in (upload, download, events, slow):
        assert await client.closed()
        client.close()
    tunnel.close()
    assert await ended(process) == 0
    assert "cutting" not in process.log, "all of them ended by themselves"


async def test_what_waits_in_the_accept_queue_at_sigterm_is_served(
    start: Start, connect: Connect, upstream: RecordingUpstream
) -> None:
    """The process is stopped meanwhile, so that 40 connections wait in the kernel's queue."""
    process = await start(upstream.url)
    process.signal(signal.SIGSTOP)
    clients = []
    for _ in range(40):
        client = await connect(process.port)
        client.send(request("/api/brain/echo/"))
        clients.append(client)
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGCONT)
    replies = await asyncio.gather(*(client.reply() for client in clients))
    assert [reply.status for reply in replies] == [200] * 40
    assert await ended(process) == 0


async def test_during_the_grace_it_serves_and_says_that_it_drains(
    start: Start, connect: Connect, upstream: RecordingUpstream
) -> None:
    process = await start(upstream.url, grace="500ms")
    process.signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait_for, "draining")
    admin = await connect(process.admin_port)
    admin.send(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await admin.reply()).status == 503
    client = await connect(process.port)
    client.send(request("/api/brain/echo/"))
    assert (await client.reply()).status == 200
    assert (await asyncio.to_thread(process.ask, "status", "--quiet")).returncode == 1
    assert await client.closed(), "an idle connection ends with the grace"
    with pytest.raises(ConnectionRefusedError):
        await connect(process.port)
    assert await ended(process) == 0


async def test_what_exceeds_the_drain_is_cut(
    start: Start, connect: Connect, raw_upstream: MakeUpstream
) -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await reader.read()

    process = await start((await raw_upstream(never)).url, drain="300ms")
    client = await connect(process.port)
    client.send(request("/api/brain/echo/"))
    assert (await client.head()).status == 200
    process.signal(signal.SIGTERM)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert await ended(process) == 0


async def test_asked_twice_it_ends_at_once(
    start: Start, connect: Connect, raw_upstream: MakeUpstream
) -> None:
    async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    process = await start((await raw_upstream(never)).url, grace="30s", drain="30s")
    client = await connect(process.port)
    client.send(request("/api/brain/echo/"))
    process.signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait_for, "draining")
    process.signal(signal.SIGINT)
    assert await ended(process, 3.0) == 0
    assert await client.closed()


async def test_ctrl_c_ends_at_once_where_nothing_is_in_flight(start: Start) -> None:
    process = await start("http://127.0.0.1:9", grace="30s", drain="30s")
    process.signal(signal.SIGINT)
    assert await ended(process, 3.0) == 0
    assert "again" not in process.log


async def test_ctrl_c_waits_for_what_is_in_flight_and_says_how_not_to(
    start: Start, connect: Connect, raw_upstream: MakeUpstream
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go.wait()
        writer.write(OK)

    process = await start((await raw_upstream(slow)).url, grace="30s", drain="30s")
    client = await connect(process.port)
    client.send(request("/api/brain/echo/"))
    await asked.wait()
    process.signal(signal.SIGINT)
    told = "1 request in flight: press Ctrl-C again to end now"
    await asyncio.to_thread(process.wait_for, told)
    go.set()
    assert (await client.reply()).status == 200
    assert await ended(process, 3.0) == 0


async def test_reloads_and_a_sigterm_under_load_lose_no_request(
    start: Start, connect: Connect, upstream: RecordingUpstream
) -> None:
    process = await start(upstream.url)
    lost: list[str] = []
    answered = 0
    ending = False

    async def call(keep: bool) -> None:
        nonlocal answered
        client: RawClient | None = None
        while True:
            if client is None:
                try:
                    client = await connect(process.port)
                except ConnectionRefusedError:
                    lost.extend([] if ending else ["refused"])
                    return
            try:
                client.send(request("/api/brain/echo/x"))
                reply = await client.reply()
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                # A request may cross the FIN of an ending gateway on its way (RFC 9112, 9.3.1).
                lost.extend([] if ending else [repr(error)])
                return
            if reply.status != 200:
                lost.append(str(reply.status))
            answered += 1
            if not keep or reply.header("Connection") == "close":
                client.close()
                client = None
            if ending and client is None:
                return

    async with asyncio.timeout(20), asyncio.TaskGroup() as callers:
        for keep in [True] * 4 + [False] * 2:
            callers.create_task(call(keep))
        for number in range(1, 6):
            process.write(
                f'services:\n  echo: {{upstream: "{upstream.url}", public: true}}\n'
                f'  mark{number}: {{upstream: "http://127.0.0.1:9", public: true}}\n'
            )
            process.signal(signal.SIGHUP)
            await asyncio.to_thread(process.wait_for, "reloaded (SIGHUP)", number)
        ending = True
        process.signal(signal.SIGTERM)
    assert await ended(process) == 0
    assert lost == []
    assert answered > 100


async def test_a_request_sent_on_a_kept_connection_before_the_end_is_answered(
    start: Start, connect: Connect, upstream: RecordingUpstream
) -> None:
    """Its bytes wait in the kernel while the process is stopped; SIGTERM comes first in the loop."""
    process = await start(upstream.url)
    clients = [await connect(process.port) for _ in range(10)]
    for client in clients:
        client.send(request("/api/brain/echo/"))
        await client.reply()
    process.signal(signal.SIGSTOP)
    for client in clients:
        client.send(request("/api/brain/echo/"))
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGCONT)
    replies = await asyncio.gather(*(client.reply() for client in clients))
    assert [reply.status for reply in replies] == [200] * 10
    assert await ended(process) == 0
