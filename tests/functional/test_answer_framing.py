"""How an upstream frames its answer, and how a client gets it (semantics.md, rows 16 and 17)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.functional.bodykit import (
    CHUNKED,
    PATH,
    answering,
    ends_cleanly,
    finished_code,
    gone,
    one_service,
)
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, RawUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


# -- bodiless answers (row 17)


async def test_head_keeps_the_length_and_has_no_body(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    played = await raw_upstream(answering(head, head))
    running = await gateway(one_service(played.url))
    client = await running.client()
    for _ in range(2):
        client.send(request(PATH, method="HEAD"))
        reply = await client.reply(head_only=True)
        assert (reply.status, reply.header("Content-Length")) == (200, "5")
        assert reply.header("Transfer-Encoding") is None
    assert played.connections == 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_204_and_304_have_no_body_and_the_connections_go_on(
    gateway: MakeGateway, raw_upstream: MakeUpstream, head: bytes
) -> None:
    played = await raw_upstream(answering(head, OK))
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH))
    reply = await client.reply()
    assert reply.header("Transfer-Encoding") is None
    assert reply.header("Content-Length") == ("5" if b"304" in head and b"5" in head else None)
    client.send(request(PATH))
    assert (await client.reply()).body == b"ok"
    assert played.connections == 1


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("HEAD", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\nhello"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello"),
        ("GET", OK + b"more"),
        ("GET", OK + OK),
        ("GET", CHUNKED + b"2\r\nok\r\n0\r\n\r\nmore"),
    ],
)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "later"])
async def test_bytes_behind_a_complete_answer_retire_the_connection_and_reach_nobody(
    gateway: MakeGateway, raw_upstream: MakeUpstream, method: str, answer: bytes, *, apart: bool
) -> None:
    head_end = answer.index(b"\r\n\r\n") + 4
    sure = head_end if method == "HEAD" or b" 200 " not in answer else answer.index(b"ok") + 2
    if answer.startswith(CHUNKED) and method == "GET":
        sure = answer.index(b"more")

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if played.connections > 1:
            writer.write(OK.replace(b"ok", b"NO"))
            return
        if apart:
            writer.write(answer[:sure])
            await asyncio.sleep(0.02)
            writer.write(answer[sure:])
        else:
            writer.write(answer)
        await gone(reader)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH, method=method))
    reply = await client.reply(head_only=method == "HEAD")
    assert reply.body == (b"ok" if b"ok" in answer[:sure] else b"")
    await asyncio.sleep(0.04)
    client.send(request(PATH))
    assert (await client.reply()).body == b"NO"
    assert played.connections == 2


# -- answers that can't be trusted (502)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: -2\r\n",
        b"Content-Length: 0x2\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"X-A: b\r\n folded\r\nContent-Length: 2\r\n",
        b"X-A : b\r\nContent-Length: 2\r\n",
        b"X-A: a\x00b\r\nContent-Length: 2\r\n",
        b"X-A: b\nContent-Length: 2\r\n",
    ],
)
async def test_an_answer_of_uncertain_framing_is_502_and_its_connection_is_closed(
    gateway: MakeGateway, raw_upstream: MakeUpstream, head: bytes
) -> None:
    left = asyncio.Event()

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nok")
        await gone(reader)
        left.set()

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    reply = await running.get(PATH)
    assert reply.status == 502
    assert await finished_code() == "upstream_invalid_response"
    assert b"ok" not in reply.body.split(b"service")[0]
    await asyncio.wait_for(left.wait(), 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"\x16\x03",
    ],
)
async def test_what_is_no_answer_is_502(
    gateway: MakeGateway, raw_upstream: MakeUpstream, answer: bytes
) -> None:
    played = await raw_upstream(answering(answer))
    running = await gateway(one_service(played.url))
    assert (await running.get(PATH)).status == 502
    assert await finished_code() == "upstream_invalid_response"


@pytest.mark.parametrize(
    "head",
    [
        b"X-Big: " + b"b" * 33_000 + b"\r\n",
        b"".join(b"X-%d: %b\r\n" % (n, b"b" * 20_000) for n in range(4)),
        b"X: y\r\n" * 201,
    ],
    ids=["one field", "all fields", "their number"],
)
async def test_a_head_over_the_bounds_is_502(
    gateway: MakeGateway, raw_upstream: MakeUpstream, head: bytes
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + head + b"\r\nok"
    played = await raw_upstream(answering(answer))
    running = await gateway(one_service(played.url))
    assert (await running.get(PATH)).status == 502
    assert await finished_code() == "upstream_head_too_large"


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"b" * 1000,
        b"HTTP/1.1 200 " + b"b" * 1000,
        b"HTTP/1.1 102 Processing\r\n\r\n",
    ],
    ids=["a field", "a reason", "102"],
)
async def test_an_endless_head_is_cut_at_its_bound(
    gateway: MakeGateway, raw_upstream: MakeUpstream, endless: bytes
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(endless)
        while True:
            writer.write((endless if b"102" in endless else b"b" * 100) * 50)
            await writer.drain()
            await asyncio.sleep(0)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url, "timeouts: {response: 5s}"))
    client = await running.client()
    client.send(request(PATH))
    while (reply := await client.head()).status < 200:
        pass
    assert reply.status == 502
    assert await finished_code() == "upstream_head_too_large"


async def test_odd_but_valid_heads_pass(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    answer = (
        b"HTTP/1.1 200\r\nX-Empty:\r\nX-Next: 1\r\nX-Blank:   \r\nX-High: \xe9\xff\r\n"
        b"X-Next: 2\r\nContent-Length: 02\r\n\r\nok"
    )
    played = await raw_upstream(answering(answer))
    running = await gateway(one_service(played.url))
    reply = await running.get(PATH)
    assert (reply.status, reply.body) == (200, b"ok")
    assert (reply.all("X-Empty"), reply.all("X-Blank")) == ([""], [""])
    assert reply.all("X-Next") == ["1", "2"]
    assert b"X-High: \xe9\xff\r\n" in reply.raw_head


# -- framing between versions


async def test_a_close_delimited_answer_is_chunked_for_a_client_of_http_1_1(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    played = await raw_upstream(answering(b"HTTP/1.1 200 OK\r\n\r\nall of it", stay=False))
    running = await gateway(one_service(played.url))
    client = await running.client()
    for _ in range(2):
        client.send(request(PATH))
        reply = await client.reply()
        assert (reply.header("Transfer-Encoding"), reply.body) == ("chunked", b"all of it")
    assert played.connections == 2


@pytest.mark.parametrize(
    "answer",
    [CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nok"],
    ids=["chunked", "close-delimited"],
)
async def test_a_client_of_http_1_0_gets_an_open_answer_ended_by_the_close(
    gateway: MakeGateway, raw_upstream: MakeUpstream, answer: bytes
) -> None:
    played = await raw_upstream(answering(answer, stay=False))
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(b"GET " + PATH.encode() + b" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    reply = await client.head()
    assert reply.raw_head.startswith(b"HTTP/1.0 200 ")
    assert reply.header("Transfer-Encoding") is None
    assert reply.header("Connection") == "close"
    assert await ends_cleanly(client) == (b"ok", True)


async def test_a_client_of_http_1_0_may_keep_its_connection_when_the_length_is_known(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    played = await raw_upstream(answering(OK, OK))
    running = await gateway(one_service(played.url))
    client = await running.client()
    for _ in range(2):
        client.send(b"GET " + PATH.encode() + b" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = await client.reply()
        assert (reply.header("Connection"), reply.body) == ("keep-alive", b"ok")


@pytest.mark.parametrize("keep", [True, False])
async def test_an_upstream_of_http_1_0_is_reused_only_when_it_says_so(
    gateway: MakeGateway, raw_upstream: MakeUpstream, *, keep: bool
) -> None:
    more = b"Connection: keep-alive\r\n" if keep else b""
    answer = b"HTTP/1.0 200 OK\r\n" + more + b"Content-Length: 2\r\n\r\nok"
    played = await raw_upstream(answering(answer, answer))
    running = await gateway(one_service(played.url))
    client = await running.client()
    for _ in range(2):
        client.send(request(PATH))
        reply = await client.reply()
        assert (reply.raw_head[:8], reply.body) == (b"HTTP/1.1", b"ok")
    assert played.connections == (1 if keep else 2)


async def test_chunks_of_an_http_1_0_upstream_are_read_and_its_connection_is_not_reused(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    answer = (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n"
    )
    played = await raw_upstream(answering(answer, answer))
    running = await gateway(one_service(played.url))
    for _ in range(2):
        assert (await running.get(PATH)).body == b"ok"
    assert played.connections == 2
