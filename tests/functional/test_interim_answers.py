"""Expect, 1xx and trailers (semantics.md, rows 15 and 16)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.functional import probe
from tests.functional.bodykit import CHUNKED, PATH, answering, finished_code, gone, one_service
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, RawUpstream, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
EXPECT = "Expect: 100-continue"


async def test_100_is_sent_when_the_chain_has_decided_and_the_upstream_sees_no_expect(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    client = await running.client()
    client.send(request(PATH, EXPECT, "Content-Length: 4", method="POST"))
    assert (await client.head()).raw_head == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"four")
    reply = await client.reply()
    assert (reply.status, reply.header("Connection")) == (200, None)
    assert upstream.last.body == b"four"
    assert upstream.last.header("Expect") is None


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ("plugins: [{use: 'tests.functional.probe:refuse'}]", 402),
        ("limits: {request_body: 1B}", 413),
    ],
)
async def test_a_refusal_comes_instead_of_100(
    gateway: MakeGateway, upstream: RecordingUpstream, keys: str, status: int
) -> None:
    running = await gateway(one_service(upstream.url, keys))
    client = await running.client()
    client.send(request(PATH, EXPECT, "Content-Length: 4", method="POST"))
    reply = await client.reply()
    assert (reply.status, reply.header("Connection")) == (status, "close")
    assert upstream.connections == 0


async def test_who_sends_without_waiting_gets_no_100(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    reply = await running.get(PATH, EXPECT, method="POST", body=b"four")
    assert (reply.status, upstream.last.body) == (200, b"four")


async def test_a_client_of_http_1_0_gets_no_100(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    client = await running.client()
    raw = request(PATH, EXPECT, "Content-Length: 4", method="POST")
    client.send(raw.replace(b"HTTP/1.1", b"HTTP/1.0"))
    await asyncio.sleep(0.03)
    client.send(b"four")
    assert (await client.reply()).status == 200
    assert upstream.last.body == b"four"


async def test_a_plugin_that_reads_the_body_asks_for_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    keys = "plugins: [{use: 'tests.functional.probe:read_whole'}]"
    running = await gateway(one_service(upstream.url, keys))
    client = await running.client()
    client.send(request(PATH, EXPECT, "Content-Length: 4", method="POST"))
    assert (await client.head()).status == 100
    client.send(b"four")
    assert (await client.reply()).status == 200


async def test_request_read_says_what_to_use_instead(
    gateway: MakeGateway, upstream: RecordingUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    keys = "plugins: [{use: 'tests.functional.probe:read_by_aiohttp'}]"
    running = await gateway(one_service(upstream.url, keys))
    client = await running.client()
    client.send(request(PATH, EXPECT, "Content-Length: 4", method="POST"))
    assert (await client.reply()).status == 500
    assert await finished_code() == "plugin_failed"
    assert "outgoing.read(limit)" in caplog.text


async def test_an_unknown_expectation_is_417(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    reply = await running.get(PATH, "Expect: a-pony", method="POST", body=b"four")
    assert (reply.status, upstream.connections) == (417, 0)


async def test_an_upstreams_100_is_not_relayed_and_103_is(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: keep-alive\r\n\r\n"
    played = await raw_upstream(
        answering(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + hints + OK, OK)
    )
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH))
    for _ in range(2):
        assert (
            await client.head()
        ).raw_head == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    assert (await client.reply()).body == b"ok"
    client.send(request(PATH))
    assert (await client.reply()).body == b"ok"
    assert played.connections == 1


async def test_103_reaches_the_client_before_the_answer_is_there(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    hinted = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
        await hinted.wait()
        writer.write(OK)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH))
    assert (await client.head()).status == 103
    hinted.set()
    assert (await client.reply()).status == 200


async def test_a_client_of_http_1_0_gets_no_103(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    played = await raw_upstream(answering(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK))
    running = await gateway(one_service(played.url))
    reply = await running.ask(b"GET " + PATH.encode() + b" HTTP/1.0\r\n\r\n")
    assert (reply.status, reply.body) == (200, b"ok")


async def test_endless_102_run_into_the_response_timer(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.sleep(0.02)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url, "timeouts: {response: 150ms}"))
    client = await running.client()
    client.send(request(PATH))
    while (reply := await client.head()).status == 102:
        pass
    assert reply.status == 504
    assert await finished_code() == "upstream_response_timeout"


async def test_an_unsolicited_101_is_502(gateway: MakeGateway, raw_upstream: MakeUpstream) -> None:
    left = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Ha\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await gone(reader)
        left.set()

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    assert (await running.get(PATH)).status == 502
    assert await finished_code() == "upstream_upgrade_unasked"
    await asyncio.wait_for(left.wait(), 1)


TRAILING = CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\nSet-Cookie: a=b\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("asked", [True, False])
async def test_trailers_are_relayed_to_who_asked_for_them(
    gateway: MakeGateway, raw_upstream: MakeUpstream, *, asked: bool
) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(TRAILING)
        await gone(reader)

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH, *(["Connection: TE", "TE: trailers"] if asked else [])))
    reply = await client.reply()
    assert reply.body == b"ok"
    assert reply.trailers == ([("X-Sum", "1"), ("X-Empty", "")] if asked else [])
    assert (b"TE: trailers" in heads[0]) is asked


async def test_pipelined_requests_are_answered_in_turn(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    client = await running.client()
    posted = request("/api/brain/s/b", method="POST", body=b"body")
    client.send(request("/api/brain/s/a") + posted + request("/api/brain/s/c"))
    for _ in range(3):
        assert (await client.reply()).body == b"ok"
    assert [seen.target for seen in upstream.seen] == ["/a", "/b", "/c"]
    assert len(probe.FINISHED) == 3
