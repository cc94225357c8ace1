"""The client's body on its way (semantics.md, rows 14 and 16; default limits: request body)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.functional import probe
from tests.functional.bodykit import PATH, finished_code, gone, one_service, until
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, RawUpstream, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def test_a_length_over_the_limit_is_413_before_the_upstream_is_touched(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url, "limits: {request_body: 1KiB}"))
    client = await running.client()
    client.send(request(PATH, "Content-Length: 1025", method="POST"))
    reply = await client.reply()
    assert (reply.status, reply.header("Connection")) == (413, "close")
    assert await finished_code() == "body_too_large"
    assert upstream.connections == 0
    client.send(b"x" * 1025)
    assert await client.closed()


async def test_a_body_of_exactly_the_limit_passes(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url, "limits: {request_body: 1KiB}"))
    reply = await running.get(PATH, method="POST", body=b"x" * 1024)
    assert reply.status == 200
    assert upstream.last.body == b"x" * 1024
    assert upstream.last.header("Content-Length") == "1024"


async def test_a_chunked_body_is_counted_while_it_streams(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    ended = asyncio.Event()

    async def script(reader: Reader, _: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await gone(reader)
        ended.set()

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url, "limits: {request_body: 1KiB}"))
    client = await running.client()
    client.send(request(PATH, "Transfer-Encoding: chunked", method="POST"))
    client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
    await until(lambda: probe.RUNNING and probe.RUNNING[0].exchange.received == 1024)
    client.send(b"1\r\nx\r\n")
    reply = await client.reply()
    assert (reply.status, reply.header("Connection")) == (413, "close")
    await asyncio.wait_for(ended.wait(), 2)
    assert await client.closed()


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_reaches_the_upstream_as_it_arrives_in_its_own_framing(
    gateway: MakeGateway, raw_upstream: MakeUpstream, *, chunked: bool
) -> None:
    first, second = (
        (b"4\r\nfour\r\n", b"5\r\nfive!\r\n0\r\n\r\n") if chunked else (b"four", b"five!")
    )
    halfway = asyncio.Event()
    heads: list[bytes] = []

    async def script(reader: Reader, writer: Writer) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        assert await reader.readexactly(len(first)) == first
        halfway.set()
        assert await reader.readexactly(len(second)) == second
        writer.write(OK)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 9"
    client.send(request(PATH, framing, method="POST") + first)
    await asyncio.wait_for(halfway.wait(), 2)
    client.send(second)
    assert (await client.reply()).status == 200
    assert framing.encode() in heads[0]
    assert (b"Content-Length" in heads[0]) is not chunked


async def test_request_trailers_are_dropped_and_their_announcement_with_them(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    seen: list[bytes] = []

    async def script(reader: Reader, writer: Writer) -> None:
        seen.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH, "Transfer-Encoding: chunked", "Trailer: X-Sum", method="POST"))
    client.send(b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert (await client.reply()).status == 200
    assert b"trailer" not in seen[0].lower()
    assert b"X-Sum" not in seen[0]


async def test_an_empty_body_keeps_its_length(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    await running.ask(request(PATH, "Content-Length: 0", method="POST"))
    assert upstream.last.header("Content-Length") == "0"
    await running.ask(request(PATH))
    assert upstream.last.header("Content-Length") is None
    assert upstream.last.header("Transfer-Encoding") is None


@pytest.mark.parametrize(
    ("keys", "pause"),
    [
        ("timeouts: {body: 150ms}", 5.0),
        ("limits: {request_rate: 10KiB, request_grace: 100ms}", 0.02),
    ],
    ids=["a pause", "a drip"],
)
async def test_a_body_that_comes_too_slowly_is_408(
    gateway: MakeGateway, raw_upstream: MakeUpstream, keys: str, pause: float
) -> None:
    async def script(reader: Reader, _: Writer) -> None:
        assert await gone(reader)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url, keys))
    client = await running.client()
    client.send(request(PATH, "Content-Length: 1000", method="POST"))

    async def drip() -> None:
        while True:
            client.send(b"x")
            await asyncio.sleep(pause)

    dripping = asyncio.ensure_future(drip())
    reply = await client.reply()
    dripping.cancel()
    assert (reply.status, reply.header("Connection")) == (408, "close")
    assert await finished_code() == "body_timeout"


async def test_a_slow_upstream_is_not_taken_for_a_slow_client(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    size = 12 * 1024 * 1024
    total = 0

    async def script(reader: Reader, writer: Writer) -> None:
        nonlocal total
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.4)  # longer than both of the client's timers
        while total < size:
            total += len(await reader.read(1 << 20))
        writer.write(OK)

    played = await raw_upstream(script)
    keys = "limits: {request_body: 20MiB, request_rate: 1MiB, request_grace: 100ms}"
    running = await gateway(one_service(played.url, keys, "timeouts: {body: 200ms}"))
    client = await running.client()
    client.send(request(PATH, f"Content-Length: {size}", method="POST"))
    for _ in range(size >> 20):
        client.send(bytes(1 << 20))
        await client.writer.drain()
    assert (await client.reply()).status == 200
    assert total == size


async def test_broken_chunks_are_400_and_the_upstream_is_told_no_end(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    got: list[bytes] = []

    async def script(reader: Reader, _: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            while data := await reader.read(65536):
                got.append(data)
        finally:
            got.append(b"end")

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH, "Transfer-Encoding: chunked", method="POST") + b"2\r\nhi\r\n")
    await until(lambda: b"hi" in b"".join(got))
    client.send(b"zz\r\n")
    assert (await client.reply()).status == 400
    assert await finished_code() == "body_invalid"
    await until(lambda: got[-1] == b"end")
    assert b"0\r\n\r\n" not in b"".join(got)


async def test_an_upload_is_held_in_bounded_memory_while_the_upstream_does_not_read(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    size = 32 * 1024 * 1024
    read_on = asyncio.Event()
    total = 0

    async def script(reader: Reader, writer: Writer) -> None:
        nonlocal total
        await reader.readuntil(b"\r\n\r\n")
        await read_on.wait()
        while total < size:
            total += len(await reader.read(1 << 20))
        writer.write(OK)

    async def send_all() -> None:
        for _ in range(size >> 20):
            client.send(bytes(1 << 20))
            await client.writer.drain()

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url, "limits: {request_body: 64MiB}"))
    client = await running.client()
    client.send(request(PATH, f"Content-Length: {size}", method="POST"))
    sending = asyncio.ensure_future(send_all())
    most = 0
    for step in range(40):
        await asyncio.sleep(0.01)
        if probe.RUNNING:
            most = max(most, probe.held(probe.RUNNING[0]))
        if step == 20:
            assert not sending.done()
            read_on.set()
    assert (await client.reply()).status == 200
    await sending
    assert total == size
    assert 0 < most <= 768 * 1024


async def test_a_large_body_that_a_plugin_read_is_sent_with_the_write_timer_running(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def script(reader: Reader, _: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(5)

    played = await raw_upstream(script)
    running = await gateway(
        one_service(
            played.url,
            "plugins: [{use: 'tests.functional.probe:read_whole'}]",
            "limits: {request_body: 64MiB}",
            "timeouts: {write: 200ms, response: 10s}",
        )
    )
    reply = await running.get(PATH, method="POST", body=bytes(24 << 20))
    assert reply.status == 504
    assert await finished_code() == "upstream_write_timeout"
