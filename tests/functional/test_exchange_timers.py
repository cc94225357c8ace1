"""Each wait of an exchange has its own timer and code (semantics.md, row 26)."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, Gateway, RawUpstream, Reply, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


async def serving(gateway: MakeGateway, url: str, timeouts: str) -> Gateway:
    return await gateway(
        f"""
        version: 1
        services:
          echo:
            upstream: "{url}"
            timeouts: {{{timeouts}}}
            limits: {{request_body: 64MiB}}
            public: true
        """
    )


def code(reply: Reply) -> str:
    found = json.loads(reply.body)["code"]
    assert isinstance(found, str)
    return found


@contextmanager
def full_queue() -> Iterator[int]:
    """Give the port of a listener whose queue is full: further connections hang."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        where = listener.getsockname()
        waiting = []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(where)
            waiting.append(sock)
        yield int(where[1])
        for sock in waiting:
            sock.close()


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_connection_that_does_not_come_about_is_504(gateway: MakeGateway) -> None:
    with full_queue() as port:
        running = await serving(gateway, f"http://127.0.0.1:{port}", "connect: 100ms")
        reply = await running.get("/api/brain/echo/")
    assert (reply.status, code(reply)) == (504, "upstream_connect_timeout")


async def test_a_handshake_that_does_not_end_is_504(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    server = await raw_upstream(hang)
    url = server.url.replace("http:", "https:")
    running = await serving(gateway, url, "tls: 100ms")
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, code(reply)) == (504, "upstream_tls_timeout")


async def test_an_upstream_that_does_not_answer_is_504_and_its_connection_is_closed(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()

    server = await raw_upstream(silent)
    running = await serving(gateway, server.url, "response: 100ms")
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, code(reply)) == (504, "upstream_response_timeout")
    async with asyncio.timeout(1):
        await left.wait()


async def test_endless_interim_answers_do_not_hold_the_timer(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def processing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.03)

    server = await raw_upstream(processing)
    running = await serving(gateway, server.url, "response: 200ms")
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    reply = await client.reply()
    while reply.status == 102:
        reply = await client.reply()
    assert (reply.status, code(reply)) == (504, "upstream_response_timeout")


async def test_an_upload_that_takes_longer_than_the_response_timer_is_no_timeout(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def reads_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(5)
        writer.write(OK)
        await reader.read()

    server = await raw_upstream(reads_all)
    running = await serving(gateway, server.url, "response: 150ms")
    client = await running.client()
    client.send(b"POST /api/brain/echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    for _ in range(5):
        await asyncio.sleep(0.06)
        client.send(b"x")
    assert (await client.reply()).status == 200


async def test_an_upstream_that_stops_reading_is_504(gateway: MakeGateway) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = await serving(gateway, url, "write: 200ms, response: 10s")
        client = await running.client()
        size = 24 * 1024 * 1024
        client.send(
            f"POST /api/brain/echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        client.send(b"x" * size)
        reply = await client.reply()
    assert (reply.status, code(reply)) == (504, "upstream_write_timeout")


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
)
async def test_a_body_that_pauses_too_long_breaks_the_stream(
    gateway: MakeGateway, raw_upstream: MakeUpstream, framing: bytes
) -> None:
    async def pauses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing)
        await reader.read()

    server = await raw_upstream(pauses)
    running = await serving(gateway, server.url, "idle: 150ms")
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    assert (await client.head()).status == 200
    with pytest.raises(ConnectionResetError):
        await client.rest()


async def test_a_body_that_drips_is_no_pause(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.07)

    server = await raw_upstream(drips)
    running = await serving(gateway, server.url, "idle: 200ms, response: 200ms")
    assert (await running.get("/api/brain/echo/")).body == b"xxxxx"


async def test_an_event_stream_has_a_timer_of_its_own(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await asyncio.sleep(0.15)
        writer.write(b"9\r\ndata: 2\n\n\r\n")
        await reader.read()

    server = await raw_upstream(events)
    running = await serving(gateway, server.url, "idle: 50ms, stream: 300ms")
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    await client.head()
    began = time.monotonic()
    await client.reader.readuntil(b"data: 1\n\n\r\n")
    await client.reader.readuntil(b"data: 2\n\n\r\n")
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert time.monotonic() - began >= 0.4
