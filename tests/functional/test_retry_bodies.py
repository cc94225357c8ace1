"""Bodies that are sent again: byte for byte the same, or not at all (semantics.md, row 25)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import (
    PATH,
    Backend,
    code,
    nothing_is_held,
    only,
    service,
    total,
    words,
)
from tests.functional.kit import Gateway, RawClient, RawUpstream, Reply, Script, request

NOBODY_OUT = "outliers: false"
MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


def some(size: int) -> bytes:
    """Return bytes of which no two parts are alike."""
    return random.Random(size).randbytes(size)


async def upload(
    running: Gateway, body: bytes, *, chunked: bool, method: str = "PUT", piece: int = 5_000
) -> Reply:
    """Send a body in pieces, as they come, and return the answer."""
    client = await running.client()
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    client.send(request(PATH, framing, method=method))
    for at in range(0, len(body), piece):
        part = body[at : at + piece]
        client.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        await client.writer.drain()
        await asyncio.sleep(0.002)
    if chunked:
        client.send(b"0\r\n\r\n")
    return await client.reply()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [1, 5_000, 40_000, 65_536])
async def test_a_body_that_was_streamed_is_sent_again_as_it_was(
    gateway: MakeGateway, three: list[Backend], size: int, *, chunked: bool
) -> None:
    three[0].mode = "reset"
    running = await gateway(service(three[:2], NOBODY_OUT))
    body = some(size)
    reply = await upload(running, body, chunked=chunked)
    assert (reply.status, reply.body) == (200, b"b")
    assert three[0].bodies == [body]
    assert three[1].bodies == [body]
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % size
    assert framing in three[1].heads[0].lower()
    nothing_is_held(running)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("after", [0, 1, 9_999, 20_000])
async def test_a_target_that_goes_in_the_middle_of_an_upload_takes_nothing_with_it(
    gateway: MakeGateway,
    raw_upstream: MakeUpstream,
    three: list[Backend],
    after: int,
    *,
    chunked: bool,
) -> None:
    """What was read of the client is sent again, and the rest as it comes."""

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(after)
        writer.transport.abort()

    dying = await raw_upstream(die)
    running = await gateway(service([dying.url, three[1]], NOBODY_OUT))
    body = some(40_000)
    reply = await upload(running, body, chunked=chunked)
    assert (reply.status, reply.body) == (200, b"b")
    assert three[1].bodies == [body]
    assert dying.connections == 1
    nothing_is_held(running)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_body_larger_than_the_buffer_is_sent_once(
    gateway: MakeGateway, three: list[Backend], *, chunked: bool
) -> None:
    three[0].mode = "reset"
    running = await gateway(service(three[:2], NOBODY_OUT, retry="{buffer: 10KiB}"))
    reply = await upload(running, some(10 * 1024 + 1), chunked=chunked)
    assert (reply.status, code(reply)) == (502, "upstream_reset_before_headers")
    assert total(three) == 1
    assert words() == ["body"]
    assert (await upload(running, some(10 * 1024), chunked=chunked)).status == 200
    nothing_is_held(running)


async def test_a_large_body_is_sent_whole_where_nothing_fails(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(service(three, NOBODY_OUT, retry="{buffer: 10KiB}"))
    body = some(300_000)
    assert (await upload(running, body, chunked=True, piece=30_000)).status == 200
    assert [found for one in three for found in one.bodies] == [body]


async def test_a_connection_that_is_refused_takes_no_byte_of_any_body(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """Nothing was sent: so a POST of any size may go to another target."""
    await three[0].kill()
    running = await gateway(service(three[:2], NOBODY_OUT))
    body = some(200_000)
    for _ in range(2):
        assert (
            await upload(running, body, chunked=False, method="POST", piece=50_000)
        ).status == 200
    assert three[1].bodies == [body, body]
    assert only(running).retries["connect"] >= 1


async def test_three_tries_send_the_same_body_three_times(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode = three[1].mode = "reset"
    running = await gateway(service(three, NOBODY_OUT, retry="{attempts: 3}"))
    body = some(20_000)
    assert (await upload(running, body, chunked=True)).body == b"c"
    assert [one.bodies for one in three] == [[body]] * 3


async def test_a_status_is_tried_again_with_the_same_body(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode = "503"
    running = await gateway(service(three[:2], NOBODY_OUT, retry="{statuses: [503]}"))
    body = some(20_000)
    assert (await upload(running, body, chunked=False)).body == b"b"
    assert [one.bodies for one in three[:2]] == [[body]] * 2


async def test_an_early_answer_that_is_tried_again_loses_no_byte_of_the_upload(
    gateway: MakeGateway, raw_upstream: MakeUpstream, three: list[Backend]
) -> None:
    """503 while the client still sends: the upload stops, and goes on at the other target."""

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(3_000)
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
        await reader.read()

    busy = await raw_upstream(early)
    running = await gateway(service([busy.url, three[1]], NOBODY_OUT, retry="{statuses: [503]}"))
    body = some(40_000)
    reply = await upload(running, body, chunked=False)
    assert (reply.status, reply.body) == (200, b"b")
    assert three[1].bodies == [body]
    nothing_is_held(running)


async def test_expect_100_is_answered_once_for_two_tries(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode = "reset"
    running = await gateway(service(three[:2], NOBODY_OUT))
    client: RawClient = await running.client()
    client.send(request(PATH, "Expect: 100-continue", "Content-Length: 5", method="PUT"))
    assert (await client.head()).status == 100
    client.send(b"hello")
    reply = await client.reply()
    assert (reply.status, reply.body) == (200, b"b")
    assert [one.bodies for one in three[:2]] == [[b"hello"], [b"hello"]]


async def test_a_body_that_the_client_breaks_off_is_the_clients_fault_and_nobody_elses(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(service(three[:2], "outliers: {failures: 1}"))
    client = await running.client()
    client.send(request(PATH, "Content-Length: 50000", method="PUT") + b"x" * 1000)
    await until(lambda: only(running).in_flight == 1)
    client.close()
    await until(lambda: only(running).in_flight == 0)
    assert [one.state for one in only(running).status().targets] == ["ok", "ok"]
    nothing_is_held(running)
