"""WebSocket: what may be upgraded, and the tunnel behind a 101 (semantics.md, row 22)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.functional import probe
from tests.functional.bodykit import PATH, ends_cleanly, finished_code, gone, one_service, until
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, RawClient, RawUpstream, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Extensions: permessage-deflate",
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


async def echo(reader: Reader, writer: Writer) -> None:
    """Switch, then send back what comes."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(SWITCH)
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def opened(client: RawClient, *more: str) -> None:
    client.send(request(PATH, *HANDSHAKE, *more))
    assert (await client.head()).status == 101


async def read(reader: Reader, size: int) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readexactly(size)


async def test_bytes_pass_untouched_both_ways_and_the_handshake_with_them(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    heads: list[bytes] = []

    async def script(reader: Reader, writer: Writer) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(SWITCH)
        while data := await reader.read(65536):
            writer.write(data[::-1])

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH, *HANDSHAKE))
    reply = await client.head()
    assert (reply.status, reply.reason) == (101, "Switching Protocols")
    assert reply.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert reply.header("Sec-WebSocket-Extensions") == "permessage-deflate"
    assert (reply.all("Upgrade"), reply.all("Connection")) == (["websocket"], ["Upgrade"])
    for line in HANDSHAKE:
        assert heads[0].count(line.encode()) == 1
    client.send(b"\x89\x80GET / HTTP/1.1\r\n\r\n\x00\xff")
    assert await read(client.reader, 22) == b"\xff\x00\n\r\n\r1.1/PTTH / TEG\x80\x89"
    client.close()
    await until(lambda: probe.FINISHED)
    assert (probe.FINISHED[0].received, probe.FINISHED[0].sent) == (22, 22)
    assert probe.FINISHED[0].status == 101


async def test_early_bytes_of_both_sides_arrive(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.03)
        writer.write(SWITCH + b"welcome ")
        while data := await reader.read(65536):
            writer.write(data)

    played = await raw_upstream(script)
    slow = "plugins: [{use: 'tests.functional.probe:hesitate'}]"
    running = await gateway(one_service(played.url, slow))
    client = await running.client()
    client.send(request(PATH, *HANDSHAKE) + b"one ")
    await asyncio.sleep(0.01)
    client.send(b"two ")
    await asyncio.sleep(0.04)
    client.send(b"three")
    assert (await client.head()).status == 101
    assert await read(client.reader, 21) == b"welcome one two three"


async def test_a_flood_before_the_tunnel_is_open_is_held_back_and_arrives(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    size = 24 << 20
    go_on = asyncio.Event()
    got = 0

    async def script(reader: Reader, writer: Writer) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        writer.write(SWITCH)
        while got < size:
            got += len(await reader.read(1 << 20))
        writer.write(b"all")

    played = await raw_upstream(script)
    slow = "plugins: [{use: 'tests.functional.probe:hesitate'}]"
    running = await gateway(one_service(played.url, slow))
    client = await running.client()
    client.send(request(PATH, *HANDSHAKE) + bytes(size))
    await asyncio.sleep(0.1)
    assert len(probe.RUNNING[0].connection._message_tail) <= 512 * 1024
    go_on.set()
    await until(lambda: probe.RUNNING[0].tunnel)
    tunnel = probe.RUNNING[0].tunnel
    assert tunnel is not None
    assert tunnel._early_size <= 1024 * 1024
    assert (await client.head()).status == 101
    assert await read(client.reader, 3) == b"all"


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_a_reader_that_is_behind_holds_the_other_side_back(
    gateway: MakeGateway, raw_upstream: MakeUpstream, direction: str
) -> None:
    size = 32 << 20
    go_on = asyncio.Event()
    got = 0

    async def script(reader: Reader, writer: Writer) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        if direction == "down":
            for _ in range(size >> 20):
                writer.write(bytes(1 << 20))
                await writer.drain()
            await gone(reader)
            return
        await go_on.wait()
        while got < size:
            got += len(await reader.read(1 << 20))
        writer.write(b"all")

    async def send() -> None:
        for _ in range(size >> 20):
            client.send(bytes(1 << 20))
            await client.writer.drain()

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client(limit=1 << 16)
    await opened(client)
    sending = asyncio.ensure_future(send() if direction == "up" else asyncio.sleep(0))
    most = 0
    for _ in range(20):
        await asyncio.sleep(0.01)
        most = max(most, probe.held(probe.RUNNING[0]))
    assert 0 < most <= 768 * 1024
    go_on.set()
    await read(client.reader, 3 if direction == "up" else size)
    await sending


async def test_the_last_bytes_of_either_side_arrive_before_the_end(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    got = asyncio.get_running_loop().create_future()

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        if played.connections == 1:
            writer.write(b"bye" * 100_000)
            return
        await asyncio.sleep(0.05)
        got.set_result(await reader.read())

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    await opened(client)
    assert await ends_cleanly(client) == (b"bye" * 100_000, True)
    assert await finished_code() is None
    probe.FINISHED.clear()
    client = await running.client()
    await opened(client)
    client.send(b"bye" * 1_000_000)
    client.writer.write_eof()
    assert await asyncio.wait_for(got, 2) == b"bye" * 1_000_000
    assert await finished_code() is None


async def test_the_end_of_either_side_ends_the_other(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    left = asyncio.Event()

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        await gone(reader)
        left.set()

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    await opened(client)
    client.close()
    await asyncio.wait_for(left.wait(), 1)


async def test_an_idle_tunnel_is_cut_and_a_busy_one_is_not(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    played = await raw_upstream(echo)
    running = await gateway(one_service(played.url, "timeouts: {stream: 120ms, idle: 10ms}"))
    client = await running.client()
    await opened(client)
    for _ in range(5):
        await asyncio.sleep(0.05)
        client.send(b"x")
        assert await read(client.reader, 1) == b"x"
    assert (await ends_cleanly(client)) == (b"", False)
    assert await finished_code() == "stream_timeout"


async def test_a_client_that_reads_nothing_of_a_tunnel_is_cut_off(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        while not writer.is_closing():
            writer.write(bytes(1 << 18))
            await writer.drain()

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url, "timeouts: {write: 150ms, stream: 10s}"))
    client = await running.client(limit=1 << 16)
    await opened(client)
    assert await finished_code() == "client_too_slow"


async def test_a_refused_handshake_is_relayed_as_it_is_and_the_connection_closed(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    refusal = (
        b"HTTP/1.1 426 Not so\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Why: age\r\n"
        b"Content-Length: 5\r\n\r\nolder"
    )

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await gone(reader)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH, *HANDSHAKE))
    reply = await client.reply()
    assert (reply.status, reply.reason, reply.body) == (426, "Not so", b"older")
    assert (reply.header("X-Why"), reply.header("Connection")) == ("age", "close")
    client.send(request(PATH))
    assert await ends_cleanly(client) == (b"", True)
    # The upstream's connection is whole: the next request uses it.
    assert (await running.get(PATH)).body == b"ok"
    assert played.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Ha\r\n\r\n",
        SWITCH[:-2] + b"Content-Length: 2\r\n\r\nok",
    ],
)
async def test_a_101_that_switches_to_nothing_is_502(
    gateway: MakeGateway, raw_upstream: MakeUpstream, answer: bytes
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await gone(reader)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    assert (await running.get(PATH, *HANDSHAKE)).status == 502
    assert await finished_code() == "upstream_invalid_response"


async def test_a_route_may_forbid_websockets(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url, "websocket: false"))
    reply = await running.get(PATH, *HANDSHAKE)
    assert (reply.status, upstream.connections) == (400, 0)
    assert b"upgrade_refused" in reply.body
    assert (await running.get(PATH)).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        request(PATH, *HANDSHAKE, method="POST"),
        request(PATH, *HANDSHAKE).replace(b"HTTP/1.1", b"HTTP/1.0"),
        request(PATH, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"),
        request(PATH, *HANDSHAKE, body=b"body"),
    ],
    ids=["POST", "HTTP/1.0", "h2c", "a body"],
)
async def test_no_other_upgrade_is_served(
    gateway: MakeGateway, upstream: RecordingUpstream, raw: bytes
) -> None:
    running = await gateway(one_service(upstream.url))
    client = await running.client()
    client.send(raw)
    reply = await client.reply()
    assert (reply.status, upstream.connections) == (400, 0)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://app.example.com", 101), ("https://evil.example.com", 403), ("null", 403), ("", 101)],
)
async def test_the_origin_of_a_page_is_checked_where_cors_lists_origins(
    gateway: MakeGateway, raw_upstream: MakeUpstream, origin: str, status: int
) -> None:
    played = await raw_upstream(echo)
    keys = "plugins: [{cors: {origins: ['https://app.example.com']}}]"
    running = await gateway(one_service(played.url, keys))
    client = await running.client()
    client.send(request(PATH, *HANDSHAKE, *([f"Origin: {origin}"] if origin else [])))
    assert (await client.head()).status == status
    assert played.connections == (1 if status == 101 else 0)
