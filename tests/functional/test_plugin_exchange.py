"""The exchange as plugins see it: its end, its counts, its tries, and a handler called twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from proxy import EXCHANGE, Answer, Exchange, GatewayError, Handler, Problem
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, RecordingUpstream, Script, request
from tests.functional.plugins_for_tests import Behaviour, public

Behave = Callable[[Behaviour], Behaviour]
MakeUpstream = Callable[[Script], Awaitable[Any]]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not true():
            await asyncio.sleep(0.005)


# -- on_answer


def mark(name: str) -> Callable[[Exchange, Answer], None]:
    def callback(exchange: Exchange, answer: Answer) -> None:
        answer.add_header("X-Marks", f"{name} {answer.status}")

    return callback


async def test_answers_are_marked_behind_the_whole_chain_the_last_registered_first(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].on_answer(mark("first"))
        asked[EXCHANGE].on_answer(mark("last"))
        await handler(asked)
        return Answer(status=203)

    running = await gateway(public(upstream.url, "plugin"))
    reply = await running.get("/api/brain/echo/")
    assert reply.all("X-Marks") == ["last 203", "first 203"]


async def test_what_a_plugin_raises_later_is_marked_too(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].on_answer(mark("own"))
        raise Problem(402, "quota_exceeded", "Enough for today.")

    running = await gateway(public(upstream.url, "plugin"))
    assert (await running.get("/api/brain/echo/")).all("X-Marks") == ["own 402"]


async def test_a_mark_that_fails_closes_the_exchange_and_its_error_is_marked_by_the_rest(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(exchange: Exchange, answer: Answer) -> None:
        raise KeyError("a bug")

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].on_answer(mark("outer"))
        asked[EXCHANGE].on_answer(failing)
        return await handler(asked)

    running = await gateway(public(upstream.url, "plugin"))
    reply = await running.get("/api/brain/echo/")
    assert reply.status == 500
    assert b'"plugin_failed"' in reply.body
    assert reply.all("X-Marks") == ["outer 500"]
    assert "failing' failed on route" in caplog.text


# -- on_finish


async def test_callbacks_run_last_registered_first_and_one_that_fails_stops_no_other(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[str] = []

    def failing(exchange: Exchange) -> None:
        called.append("failing")
        raise KeyError("a bug")

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        exchange = asked[EXCHANGE]
        exchange.on_finish(lambda _: called.append("first"))
        exchange.on_finish(failing)
        exchange.on_finish(lambda _: called.append("last"))
        return await handler(asked)

    running = await gateway(public(upstream.url, "plugin"))
    assert (await running.get("/api/brain/echo/")).status == 200
    await until(lambda: len(called) == 3)
    assert called == ["last", "failing", "first"]
    assert "failing failed" in caplog.text


async def test_a_coroutine_of_a_callback_is_awaited_though_the_client_left_and_the_gateway_stops(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    done: list[int] = []
    began = asyncio.Event()

    async def store(exchange: Exchange) -> None:
        began.set()
        await asyncio.sleep(0.1)
        done.append(exchange.status)

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].on_finish(store)
        return await handler(asked)

    running = await gateway(public(upstream.url, "plugin"))
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    await client.reply()
    client.close()
    await asyncio.wait_for(began.wait(), 2)
    await running.stop()
    assert done == [200]


@pytest.mark.parametrize("when", ["waiting", "streaming"])
async def test_callbacks_run_when_the_client_has_left(
    gateway: MakeGateway, raw_upstream: MakeUpstream, behave: Behave, when: str
) -> None:
    ended: list[tuple[int, str | None, int]] = []
    head_out = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if when == "streaming":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        head_out.set()
        await reader.read()

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].on_finish(
            lambda exchange: ended.append(
                (exchange.status, exchange.error and exchange.error.code, exchange.sent)
            )
        )
        return await handler(asked)

    hanging = await raw_upstream(hang)
    running = await gateway(public(hanging.url, "plugin"))
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    await asyncio.wait_for(head_out.wait(), 2)
    if when == "streaming":
        await client.head()
        await client.reader.readexactly(5)
    client.close()
    await until(lambda: ended)
    expected = (200, "client_left", 5) if when == "streaming" else (499, "client_left", 0)
    assert ended == [expected]
    (pool,) = running.host.gateway.snapshot.upstreams.values()
    assert pool.in_flight == 0


async def test_the_answer_is_there_at_the_end_and_let_go_behind_it(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    seen: list[Any] = []

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].on_finish(lambda exchange: seen.extend([exchange, exchange.answer]))
        return await handler(asked)

    running = await gateway(public(upstream.url, "plugin"))
    await running.get("/api/brain/echo/")
    await until(lambda: seen)
    assert seen[1].status == 200
    assert seen[0].answer is None


# -- counts


async def test_body_bytes_are_counted_both_ways_without_wrapping(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    counts: list[tuple[int, int]] = []
    upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n\r\n"

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].on_finish(
            lambda exchange: counts.append((exchange.received, exchange.sent))
        )
        return await handler(asked)

    running = await gateway(public(upstream.url, "plugin"))
    await running.get("/api/brain/echo/", method="POST", body=b"x" * 70_000)
    chunked = request("/api/brain/echo/", "Transfer-Encoding: chunked", method="POST")
    await running.ask(chunked + b"5\r\nhello\r\n0\r\n\r\n")
    await until(lambda: len(counts) == 2)
    assert counts == [(70_000, 3), (5, 3)]


async def test_attempts_tell_each_try(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    tries: list[list[tuple[int | None, bool]]] = []

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        tries.append([(each.status, each.reused) for each in asked[EXCHANGE].attempts])
        return answer

    running = await gateway(public(upstream.url, "plugin"))
    await running.get("/api/brain/echo/")
    await running.get("/api/brain/echo/")
    assert tries == [[(200, False)], [(200, True)]]


# -- calling the handler again


def retrying(behave: Behave, prepare: Callable[[Exchange], Awaitable[Any]] | None = None) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        if prepare is not None:
            await prepare(asked[EXCHANGE])
        first = await handler(asked)
        return await handler(asked) if first.status == 503 else first


class Flaky(RecordingUpstream):
    """Answers 503 at first, then 200."""

    @property
    def answer(self) -> bytes:
        busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
        return busy if len(self.seen) == 1 else OK

    @answer.setter
    def answer(self, answer: bytes) -> None:
        """It is not for a test to say."""


@pytest.fixture
async def flaky() -> AsyncIterator[Flaky]:
    server = Flaky()
    await server.start()
    yield server
    await server.close()


@pytest.mark.parametrize("how", ["no body", "small body", "read body"])
async def test_a_handler_may_be_called_again_while_the_body_is_replayable(
    gateway: MakeGateway, flaky: Flaky, behave: Behave, how: str
) -> None:
    async def read(exchange: Exchange) -> None:
        await exchange.outgoing.read(100_000)

    retrying(behave, read if how == "read body" else None)
    running = await gateway(public(flaky.url, "plugin"))
    body = {"no body": b"", "small body": b"hello", "read body": b"x" * 90_000}[how]
    method = "POST" if body else "GET"
    reply = await running.get("/api/brain/echo/", method=method, body=body)
    assert (reply.status, reply.body) == (200, b"ok")
    assert [seen.body for seen in flaky.seen] == [body, body]
    assert flaky.connections == 1, "the first answer's connection was given back"


async def test_a_body_that_is_gone_is_never_sent_by_half(
    gateway: MakeGateway, flaky: Flaky, behave: Behave, caplog: pytest.LogCaptureFixture
) -> None:
    async def look(exchange: Exchange) -> None:
        assert not exchange.outgoing.replayable

    retrying(behave, look)
    running = await gateway(public(flaky.url, "plugin"))
    chunked = request("/api/brain/echo/", "Transfer-Encoding: chunked", method="POST")
    reply = await running.ask(chunked + b"5\r\nhello\r\n0\r\n\r\n")
    assert reply.status == 500
    assert "is not replayable" in caplog.text
    assert [seen.body for seen in flaky.seen] == [b"hello"]


async def test_a_discarded_answer_holds_no_slot(
    gateway: MakeGateway, flaky: Flaky, behave: Behave
) -> None:
    retrying(behave)
    text = public(flaky.url, "plugin").replace("targets:", "concurrent: 1, queue: 1, targets:")
    running = await gateway(text)
    assert (await running.get("/api/brain/echo/")).status == 200


async def test_a_discarded_answers_body_is_never_anothers(
    gateway: MakeGateway, raw_upstream: MakeUpstream, behave: Behave
) -> None:
    """A plugin that keeps the first answer must not get the bytes of the second exchange."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for body in (b"first", b"other"):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"5\r\n%b\r\n0\r\n\r\n" % body)
            await writer.drain()
        await reader.read()

    told: list[str] = []

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        first = await handler(asked)
        second = await handler(asked)
        try:
            told.append((await first.read(100)).decode())
        except GatewayError as error:
            told.append(error.code)
        return second

    server = await raw_upstream(serve)
    running = await gateway(public(server.url, "plugin"))
    reply = await running.get("/api/brain/echo/")
    assert reply.body == b"other"
    assert told == ["gateway_failed"]


async def test_a_handler_called_twice_at_once_leaves_no_connection_open(
    gateway: MakeGateway, flaky: Flaky, behave: Behave
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        return (await asyncio.gather(handler(asked), handler(asked)))[1]

    running = await gateway(public(flaky.url, "plugin"))
    for _ in range(3):
        await running.get("/api/brain/echo/")
    await asyncio.sleep(0.05)
    for status in running.host.gateway.status().upstreams:
        assert (status.in_flight, status.open) == (0, status.idle)


# -- 101


async def test_an_upgrade_passes_by_as_an_answer_of_101(
    gateway: MakeGateway, raw_upstream: MakeUpstream, behave: Behave
) -> None:
    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        writer.write(await reader.readexactly(4))
        await writer.drain()

    seen: list[Any] = []

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        exchange = asked[EXCHANGE]
        exchange.on_finish(lambda ended: seen.append((ended.status, ended.received, ended.sent)))
        answer = await handler(asked)
        seen.append(answer.status)
        answer.add_header("X-Seen", "1")
        answer.headers["Transfer-Encoding"] = "chunked"
        return answer

    server = await raw_upstream(switch)
    running = await gateway(public(server.url, "plugin"))
    client = await running.client()
    client.send(
        request(
            "/api/brain/echo/",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        )
    )
    head = await client.head()
    assert (head.status, head.header("X-Seen")) == (101, "1")
    assert head.header("Transfer-Encoding") is None
    client.send(b"ping")
    assert await client.reader.readexactly(4) == b"ping"
    await until(lambda: len(seen) == 2)
    assert seen == [101, (101, 4, 4)]
