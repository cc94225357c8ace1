"""cache and bodies on their way: streamed, cut short, too large, waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.functional.bodykit import gone, until
from tests.functional.cachekit import PATH, made_of, metric, start, status_of
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawUpstream, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


# -- bodies


def streaming(*parts: bytes, head: bytes, gates: list[asyncio.Event]) -> Script:
    """Return a script that sends each part when its gate is open, one request a connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        for part, gate in zip(parts, gates, strict=True):
            await gate.wait()
            writer.write(part)
        await writer.drain()

    return script


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_the_first_bytes_are_there_before_the_last_and_the_whole_is_stored(
    gateway: MakeGateway, raw_upstream: MakeUpstream, framing: str
) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    start_of = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Digest: x\r\n"
    if framing == "length":
        head, parts = start_of + b"Content-Length: 10\r\n\r\n", (b"hello", b"world")
    else:
        head = start_of + b"Transfer-Encoding: chunked\r\n\r\n"
        parts = (b"5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n")
    server = await raw_upstream(streaming(*parts, head=head, gates=gates))
    running = await start(gateway, server.url)
    client = await running.client()
    client.send(request(PATH))
    reply = await client.head()
    # The raw way is kept: the length, where one was announced, and what speaks of the bytes.
    assert reply.header("Content-Length") == ("10" if framing == "length" else None)
    assert reply.header("Content-Digest") == "x"
    gates[0].set()
    async with asyncio.timeout(2):
        assert b"hello" in await client.reader.read(100)
    gates[1].set()
    async with asyncio.timeout(2):
        while b"world" not in await client.reader.read(100):
            pass
    again = await running.get(PATH)
    assert status_of(again).startswith("hit")
    assert again.body == b"helloworld"
    assert again.all("Content-Length") == ["10"]
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 10\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nbroken",
    ],
)
async def test_an_answer_that_is_cut_short_is_not_stored(
    gateway: MakeGateway, raw_upstream: MakeUpstream, answer: bytes
) -> None:
    server = await raw_upstream(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n" + answer)
    running = await start(gateway, server.url)
    for count in (1, 2):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError, ValueError)):
            await running.get(PATH)
        assert server.connections == count
    assert await metric(running, "brain_cache_bytes") == 0


async def test_a_client_that_leaves_while_its_answer_is_stored_breaks_nobody_elses(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n")
        writer.write(b"hello")
        if server.connections == 1:
            await gone(reader)
        await go.wait()
        writer.write(b"world")

    server = await raw_upstream(script)
    running = await start(gateway, server.url)
    leaving = await running.client()
    leaving.send(request(PATH))
    await leaving.head()
    waiting = [asyncio.ensure_future(running.get(PATH)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert server.connections == 1
    leaving.close()
    await until(lambda: server.connections == 2)
    go.set()
    replies = await asyncio.gather(*waiting)
    assert {reply.body for reply in replies} == {b"helloworld"}
    assert sorted(status_of(reply).partition(";")[0] for reply in replies) == ["fwd=uri-miss"] * 3
    assert sum("collapsed" in status_of(reply) for reply in replies) == 2
    assert server.connections == 2


async def test_a_slow_reader_holds_the_upstream_back_and_what_it_gets_is_stored(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    body = bytes(range(256)) * 16 * 1024
    upstream.answer = made_of(body, "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url, "{max_entry: 8MiB}")
    client = await running.client(limit=1024)
    client.send(request(PATH))
    await client.head()
    await asyncio.sleep(0.1)
    assert await metric(running, "brain_cache_bytes") < len(body)
    async with asyncio.timeout(10):
        assert await client.reader.readexactly(len(body)) == body
    again = await running.get(PATH)
    assert status_of(again).startswith("hit")
    assert again.body == body


async def test_what_is_larger_than_the_bound_passes_untouched(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    body = bytes(range(256)) * 1024
    running = await start(gateway, upstream.url, "{max_entry: 100KiB}")
    chunked = (
        b"".join(b"%x\r\n%b\r\n" % (1 << 16, body[: 1 << 16]) for _ in range(4)) + b"0\r\n\r\n"
    )
    announced = made_of(body, "Cache-Control: max-age=60")
    for answer, whole in (
        (announced, body),
        (
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunked,
            body[: 1 << 16] * 4,
        ),
    ):
        upstream.answer = answer
        for _ in range(2):
            reply = await running.get(PATH)
            assert reply.body == whole
            # A length that is announced is too large at once.
            assert status_of(reply).startswith("fwd=uri-miss; stored") is (answer != announced)
    assert len(upstream.seen) == 4
    assert await metric(running, "brain_cache_bytes") == 0


async def test_an_event_stream_is_waited_for_by_nobody(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: max-age=60\r\n"
            b"Connection: close\r\n\r\ndata: 1\n\n"
        )
        await gone(reader)

    server = await raw_upstream(events)
    running = await start(gateway, server.url)
    for _ in range(3):
        client = await running.client()
        client.send(request(PATH, "Accept: text/event-stream"))
        assert status_of(await client.head()) == "fwd=uri-miss"
        async with asyncio.timeout(2):
            await client.reader.readuntil(b"data: 1\n\n")


# -- single flight


async def test_one_request_asks_and_the_others_get_its_answer(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        writer.write(made_of(b"hello", "Cache-Control: max-age=60"))

    server = await raw_upstream(script)
    running = await start(gateway, server.url)
    tasks = [asyncio.ensure_future(running.get(PATH)) for _ in range(8)]
    await asyncio.sleep(0.05)
    go.set()
    replies = await asyncio.gather(*tasks)
    assert {reply.body for reply in replies} == {b"hello"}
    assert sum("collapsed" in status_of(reply) for reply in replies) == 7
    assert server.connections == 1
    assert (
        await metric(running, 'brain_cache_requests_total{cache="cache",result="collapsed"}') == 7
    )


async def test_others_ask_for_themselves_when_the_answer_is_not_for_them(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        writer.write(made_of(b"hello", "Cache-Control: private"))

    server = await raw_upstream(script)
    running = await start(gateway, server.url)
    tasks = [asyncio.ensure_future(running.get(PATH)) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert server.connections == 1
    go.set()
    for reply in await asyncio.gather(*tasks):
        assert (reply.body, status_of(reply)) == (b"hello", "fwd=uri-miss")
    assert server.connections == 5
