"""An answer on its way: truncation, backpressure, streams (semantics.md, rows 14, 18, 21)."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from tests.functional import probe
from tests.functional.bodykit import (
    CHUNKED,
    PATH,
    answering,
    ends_cleanly,
    finished_code,
    gone,
    one_service,
    until,
)
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, RawUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


# -- truncation (row 18)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        CHUNKED + b"a\r\n",
        CHUNKED + b"4\r\n",
    ],
    ids=["length", "within a chunk", "between chunks"],
)
@pytest.mark.parametrize("later", [True, False], ids=["later", "at once"])
async def test_a_cut_answer_breaks_the_clients_connection_and_fakes_no_end(
    gateway: MakeGateway, raw_upstream: MakeUpstream, start: bytes, *, later: bool
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start + b"four" + (b"\r\n" if b"4\r\n" in start else b""))
        if later:
            await asyncio.sleep(0.05)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH))
    got, clean = await ends_cleanly(client)
    assert not clean
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"four" in got
    assert b"0\r\n\r\n" not in got
    assert got.count(b"HTTP/1.1") == 1
    assert await finished_code() == "upstream_reset_mid_body"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_reset_of_a_close_delimited_answer_resets_the_client(
    gateway: MakeGateway, raw_upstream: MakeUpstream, version: bytes
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfour")
        await asyncio.sleep(0.05)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(b"GET " + PATH.encode() + b" HTTP/" + version + b"\r\nHost: x\r\n\r\n")
    got, clean = await ends_cleanly(client)
    assert (b"four" in got, clean) == (True, False)


async def test_what_came_before_the_cut_is_delivered_though_the_chain_took_its_time(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    played = await raw_upstream(answering(head + b"four", stay=False))
    slow = "plugins: [{use: 'tests.functional.probe:hesitate'}]"
    running = await gateway(one_service(played.url, slow))
    client = await running.client()
    client.send(request(PATH))
    got, clean = await ends_cleanly(client)
    assert (got[-4:], clean) == (b"four", False)


async def test_chunks_that_break_after_the_head_break_the_client(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"4\r\nfour\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"zz\r\n")
        await gone(reader)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH))
    got, clean = await ends_cleanly(client)
    assert (got.count(b"HTTP/1.1"), b"0\r\n\r\n" in got, clean) == (1, False, False)


async def test_endless_trailers_break_the_client(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"4\r\nfour\r\n0\r\nX-Long: ")
        while True:
            writer.write(b"b" * 1000)
            await writer.drain()
            await asyncio.sleep(0)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH))
    assert (await ends_cleanly(client))[1] is False
    assert await finished_code() == "upstream_head_too_large"


async def test_a_body_that_pauses_too_long_breaks_the_client(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    played = await raw_upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour"))
    running = await gateway(one_service(played.url, "timeouts: {idle: 100ms}"))
    client = await running.client()
    client.send(request(PATH))
    got, clean = await ends_cleanly(client)
    assert (got[-4:], clean) == (b"four", False)
    assert await finished_code() == "upstream_body_timeout"


async def test_a_body_that_keeps_coming_outlives_every_timer(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.05)
            writer.write(b"x")

    played = await raw_upstream(script)
    keys = "timeouts: {idle: 150ms, response: 150ms, write: 150ms, body: 150ms}"
    running = await gateway(one_service(played.url, keys))
    assert (await running.get(PATH)).body == b"x" * 8


# -- passing through (rows 14, 21)


async def test_gzip_passes_untouched(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    body = gzip.compress(b"hello" * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    played = await raw_upstream(answering(head + body))
    running = await gateway(one_service(played.url))
    reply = await running.get(PATH, "Accept-Encoding: gzip")
    assert (reply.body, reply.header("Content-Encoding")) == (body, "gzip")


async def test_a_large_answer_leaves_its_connection_fit_for_the_next(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    body = bytes(200_000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    played = await raw_upstream(answering(*[answer] * 5))
    running = await gateway(one_service(played.url, "timeouts: {response: 1s}"))
    client = await running.client()
    for _ in range(5):
        client.send(request(PATH))
        assert len((await client.reply()).body) == len(body)
    assert played.connections == 1


async def test_a_connection_that_was_paused_for_a_slow_reader_serves_the_next(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    body = bytes(24 * 1024 * 1024)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    played = await raw_upstream(answering(answer, OK))
    running = await gateway(one_service(played.url, "timeouts: {response: 1s}"))
    client = await running.client()
    client.send(request(PATH))
    await until(lambda: probe.RUNNING and probe.RUNNING[0].connection.behind)
    assert (await client.reply()).body == body
    client.send(request(PATH))
    assert (await client.reply()).body == b"ok"
    assert played.connections == 1


async def test_a_download_is_held_in_bounded_memory_while_the_client_does_not_read(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    size = 32 * 1024 * 1024
    sent = 0

    async def script(reader: Reader, writer: Writer) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(bytes(1 << 18))
            await writer.drain()
            sent += 1 << 18

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client(limit=1 << 16)
    client.send(request(PATH))
    await client.head()
    most = 0
    for _ in range(20):
        await asyncio.sleep(0.01)
        most = max(most, probe.held(probe.RUNNING[0]))
    assert sent < size
    got = 0
    while got < size:
        got += len(await client.reader.read(1 << 20))
        if probe.RUNNING:
            most = max(most, probe.held(probe.RUNNING[0]))
    assert got == size
    assert 0 < most <= 768 * 1024


@pytest.mark.parametrize("whole", [True, False], ids=["in one piece", "streamed"])
async def test_a_client_that_reads_nothing_is_cut_off(
    gateway: MakeGateway, raw_upstream: MakeUpstream, *, whole: bool
) -> None:
    left = asyncio.Event()
    size = 24 * 1024 * 1024

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        try:
            for _ in range(size >> 18):
                writer.write(bytes(1 << 18))
                await writer.drain()
            await gone(reader)
        finally:
            left.set()

    played = await raw_upstream(script)
    read = "plugins: [{use: 'tests.functional.probe:answer_read_whole'}]" if whole else ""
    running = await gateway(
        one_service(played.url, "timeouts: {write: 200ms}", *([read] if whole else []))
    )
    client = await running.client(limit=1 << 16)
    client.send(request(PATH))
    assert await finished_code() == "client_too_slow"
    await asyncio.wait_for(left.wait(), 2)
    assert (await ends_cleanly(client))[1] is False


async def test_a_slow_client_is_not_taken_for_a_slow_upstream(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    body = bytes(24 * 1024 * 1024)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    played = await raw_upstream(answering(answer))
    running = await gateway(one_service(played.url, "timeouts: {idle: 100ms}"))
    client = await running.client(limit=1 << 16)
    client.send(request(PATH))
    await client.head()
    await asyncio.sleep(0.3)
    assert len(await client.reader.readexactly(len(body))) == len(body)


async def test_an_event_stream_passes_chunk_by_chunk_within_5_ms(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    loop = asyncio.get_running_loop()
    sent: list[float] = []

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED[:-2] + b"Content-Type: text/event-stream\r\n\r\n")
        for number in range(20):
            await asyncio.sleep(0.02)
            sent.append(loop.time())
            writer.write(b"9\r\ndata: %d\n\n\r\n" % (number % 10))
        await gone(reader)

    played = await raw_upstream(script)
    keys = "timeouts: {stream: 150ms, idle: 10ms, response: 10s}"
    running = await gateway(one_service(played.url, keys))
    client = await running.client()
    client.send(request(PATH, "Accept-Encoding: gzip"))
    reply = await client.head()
    assert reply.header("Content-Encoding") is None
    delays = []
    for number in range(20):
        async with asyncio.timeout(2):
            chunk = await client.reader.readuntil(b"\n\n\r\n")
        delays.append(loop.time() - sent[number])
        assert chunk == b"9\r\ndata: %d\n\n\r\n" % (number % 10)
    assert sorted(delays)[10] < 0.005  # the median: the machine may be busy for a moment
    assert (await ends_cleanly(client))[1] is False
    assert await finished_code() == "stream_timeout"
