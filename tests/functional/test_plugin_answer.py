"""`Answer`: what a handler returned, edited by plugins before it is sent (rows 11, 12, 17, 18)."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from proxy import Answer, GatewayError, Handler
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply, Script, request
from tests.functional.plugins_for_tests import Behaviour, public

Behave = Callable[[Behaviour], Behaviour]
Edit = Callable[[Answer], Any]
MakeUpstream = Callable[[Script], Awaitable[Any]]


def edit(behave: Behave, deed: Edit) -> None:
    """Register `plugin`, which does `deed` to the answer."""

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        done = deed(answer)
        if done is not None:
            await done
        return answer


def made_of(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: x\r\n\r\n"
    b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
)


async def ask(gateway: MakeGateway, upstream: RecordingUpstream, **how: Any) -> Reply:
    running = await gateway(public(upstream.url, "plugin"))
    return await twice(running, **how)


async def twice(running: Gateway, method: str = "GET") -> Reply:
    """Ask twice on one connection: what is framed wrongly breaks the second answer."""
    client = await running.client()
    for _ in range(2):
        client.send(request("/api/brain/echo/", method=method))
        reply = await client.reply(head_only=method == "HEAD")
    return reply


async def test_status_and_headers_are_edited(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    upstream.answer = made_of(b"ok", "X-Gone: 1", "oDD: Case", "X-Twice: 1", "X-Twice: 2")

    def deed(answer: Answer) -> None:
        answer.set_status(418)
        answer.headers["X-New"] = "1"
        answer.headers.popall("x-gone")

    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert (reply.status, reply.reason, reply.body) == (418, "I'm a Teapot", b"ok")
    assert reply.header("X-New") == "1"
    assert reply.header("X-Gone") is None
    assert reply.all("X-Twice") == ["1", "2"]
    assert b"\r\noDD: Case\r\n" in reply.raw_head
    assert len(reply.all("Content-Length")) == 1


async def test_a_header_is_appended_without_leaving_the_raw_path(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    upstream.answer = made_of(b"ok", "oDD: Case", "X-Bytes: \xff").replace(b"\xc3\xbf", b"\xff")
    raw: list[bool] = []

    def deed(answer: Answer) -> None:
        answer.add_header("X-New", "1")
        answer.set_cookie("a", "b", httponly=True)
        raw.append(answer.untouched)

    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert raw == [True, True]
    assert b"oDD: Case\r\nX-Bytes: \xff\r\nContent-Length: 2\r\n" in reply.raw_head
    assert reply.header("X-New") == "1"
    assert reply.all("Set-Cookie") == ["a=b; HttpOnly; Path=/"]


UNCLEAN: list[tuple[str, Edit]] = [
    ("set", lambda answer: answer.headers.__setitem__("X-A", "a\r\nEvil: 1")),
    ("nul", lambda answer: answer.headers.__setitem__("X-A", "a\0")),
    ("add", lambda answer: answer.add_header("X-A", "a\nEvil: 1")),
    ("number", lambda answer: answer.add_header("X-A", 7)),  # type: ignore[arg-type]
    ("type", lambda answer: setattr(answer, "content_type", "a\r\nEvil: 1")),
    ("cookie", lambda answer: answer.set_cookie("a", "b", path="/\r\nEvil: 1")),
    ("reason", lambda answer: answer.set_status(200, "OK\r\nEvil: 1")),
    ("made", lambda _: Answer(headers={"X-A": "a\r\nEvil: 1"})),
]


@pytest.mark.parametrize("deed", [pytest.param(deed, id=name) for name, deed in UNCLEAN])
async def test_what_is_unclean_fails_at_the_line_that_sets_it(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    deed: Edit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert reply.status == 500
    assert b"Evil" not in reply.raw_head
    assert "in deed" in caplog.text or "<lambda>" in caplog.text, "the traceback shows that line"


FRAMING = {
    "Content-Length": "0",
    "transfer-encoding": "chunked",
    "Connection": "close",
    "Keep-Alive": "timeout=1",
    "Trailer": "X-A",
    "Upgrade": "h2c",
}


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("name", FRAMING)
async def test_a_framing_header_can_not_be_appended_beside_the_gateways(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, name: str, touched: bool
) -> None:
    """Row 11: on the raw way it would stand beside the one by which the body is framed."""
    told: list[str] = []

    def deed(answer: Answer) -> None:
        if touched:
            answer.headers["X-A"] = "1"
        with pytest.raises(ValueError, match="the gateway") as refused:
            answer.add_header(name, FRAMING[name])
        told.append(str(refused.value))

    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert name in told[1]
    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.all("Content-Length") == ["2"]
    assert name == "Content-Length" or reply.all(name) == []


async def test_an_answer_made_for_a_head_tells_the_length_of_the_body_it_would_have(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = Answer(status=200)
        answer.headers["Content-Length"] = "77"
        return answer

    reply = await ask(gateway, upstream, method="HEAD")
    assert reply.all("Content-Length") == ["77"]


@pytest.mark.parametrize("status", [-5, 0, 99, 100, 101, 103, 199, 1000])
@pytest.mark.parametrize("way", ["set", "made", "aiohttp"])
async def test_a_status_that_no_final_answer_has_is_a_fault_of_the_plugin(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
    status: int,
    way: str,
) -> None:
    """RFC 9110, 15: the client would wait for another answer, or take the next one for this."""

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Any:
        answer = await handler(asked)
        if way == "set":
            answer.set_status(status)
            return answer
        return Answer(status=status) if way == "made" else web.Response(status=status)

    reply = await ask(gateway, upstream)
    assert reply.status == 500
    assert b"plugin_failed" in reply.body
    assert "200 to 999" in caplog.text


@pytest.mark.parametrize("status", [200, 299, 451, 599, 600, 999])
async def test_any_final_status_may_be_set(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, status: int
) -> None:
    edit(behave, lambda answer: answer.set_status(status, "Own"))
    reply = await ask(gateway, upstream)
    assert (reply.status, reply.reason, reply.body) == (status, "Own", b"ok")


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_wrapped_body_is_sent_chunked_to_any_framing(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, framing: str
) -> None:
    upstream.answer = CHUNKED if framing == "chunked" else made_of(b"hello", "Digest: sha-256=x")

    async def shout(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in body:
            yield chunk.upper()
        yield b"!"

    def deed(answer: Answer) -> None:
        answer.body = shout(answer.body)

    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert reply.body == b"HELLO!"
    assert reply.all("Transfer-Encoding") == ["chunked"]
    assert reply.all("Content-Length") == []
    assert reply.header("Digest") is None


@pytest.mark.parametrize("deed", ["looked", "read", "nothing"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_that_was_only_looked_at_or_read_arrives_as_it_was(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, framing: str, deed: str
) -> None:
    upstream.answer = CHUNKED if framing == "chunked" else made_of(b"hello")
    read: list[bytes] = []

    async def reads(answer: Answer) -> None:
        read.append(await answer.read(5))
        read.append(await answer.read(5))

    deeds: dict[str, Edit] = {
        "looked": lambda answer: None if answer.body is not None else 1 / 0,
        "read": reads,
        "nothing": lambda answer: None,
    }
    edit(behave, deeds[deed])
    reply = await ask(gateway, upstream)
    assert reply.body == b"hello"
    framed = reply.all("Content-Length") + reply.all("Transfer-Encoding")
    assert len(framed) == 1, "one framing, not two and not none"
    assert set(read) <= {b"hello"}


CODED = {
    "gzip": gzip.compress(b"hello"),
    "x-gzip": gzip.compress(b"hello"),
    "deflate": zlib.compress(b"hello"),
    "Deflate": zlib.compress(b"hello")[2:-4],
    "identity": b"hello",
    "deflate, gzip": gzip.compress(zlib.compress(b"hello")),
}


@pytest.mark.parametrize("coding", CODED)
async def test_a_coded_body_is_read_decoded_and_sent_as_it_was(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, coding: str
) -> None:
    upstream.answer = made_of(CODED[coding], f"Content-Encoding: {coding}")
    read: list[bytes] = []

    async def deed(answer: Answer) -> None:
        read.append(await answer.read(1000))

    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert read == [b"hello"] * 2
    assert reply.body == CODED[coding]
    assert reply.header("Content-Encoding") == coding


BAD: dict[str, tuple[bytes, str, str]] = {
    "bomb": (gzip.compress(b"\0" * 10_000_000), "gzip", "answer_too_large"),
    "long": (b"x" * 1001, "identity", "answer_too_large"),
    "unknown": (b"x", "br", "answer_coding_unknown"),
    "broken": (b"no gzip", "gzip", "answer_invalid"),
    "short": (gzip.compress(b"hello" * 50)[:-9], "gzip", "answer_invalid"),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_can_not_be_read_is_502(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, case: str
) -> None:
    body, coding, code = BAD[case]
    upstream.answer = made_of(body, f"Content-Encoding: {coding}")
    edit(behave, lambda answer: answer.read(12_000 if case == "bomb" else 1000))
    running = await gateway(public(upstream.url, "plugin"))
    reply = await running.get("/api/brain/echo/")
    assert reply.status == 502
    assert code.encode() in reply.body
    assert reply.header("Content-Encoding") is None
    assert running.host.gateway.status().upstreams[0].in_flight == 0


async def test_an_answer_too_large_to_read_may_still_be_sent_whole(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    upstream.answer = made_of(bytes(range(256)) * 1000)

    async def deed(answer: Answer) -> None:
        with pytest.raises(GatewayError, match="answer_too_large"):
            await answer.read(1000)

    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert reply.status == 200
    assert reply.body == bytes(range(256)) * 1000
    assert len(reply.all("Content-Length") + reply.all("Transfer-Encoding")) == 1


async def test_an_answer_that_broke_while_it_was_read_is_never_sent_as_whole(
    gateway: MakeGateway, raw_upstream: MakeUpstream, behave: Behave
) -> None:
    """Row 18: the plugin looks away from the error, the client's connection breaks all the same."""
    short = await raw_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell")

    async def deed(answer: Answer) -> None:
        with pytest.raises(GatewayError):
            await answer.read(100)

    edit(behave, deed)
    running = await gateway(public(short.url, "plugin"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await running.get("/api/brain/echo/")


async def test_a_wrapper_that_fails_midway_breaks_the_connection(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def failing(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in body:
            yield chunk
        raise KeyError("a bug")

    def deed(answer: Answer) -> None:
        answer.body = failing(answer.body)

    edit(behave, deed)
    running = await gateway(public(upstream.url, "plugin"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await running.get("/api/brain/echo/")
    assert "broke off on route 'echo" in caplog.text


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_replaced_body_drops_what_spoke_of_the_old_bytes(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, framing: str
) -> None:
    old = ("ETag: x", "Accept-Ranges: bytes", "Content-Encoding: gzip", "Content-MD5: x", "X-A: 1")
    old += ("Digest: x", "Content-Digest: x", "Repr-Digest: x", "Content-Range: bytes 0-4/5")
    upstream.answer = CHUNKED if framing == "chunked" else made_of(b"hello", *old)
    edit(behave, lambda answer: answer.replace(b'{"a": 1}', "application/json"))
    reply = await ask(gateway, upstream)
    assert reply.body == b'{"a": 1}'
    assert reply.all("Content-Length") == ["8"]
    assert reply.all("Transfer-Encoding") == []
    assert reply.header("Content-Type") == "application/json"
    for name in (each.partition(":")[0] for each in old if not each.startswith("X-")):
        assert reply.header(name) is None
    assert reply.header("X-A") == ("1" if framing == "length" else None)


async def test_a_replaced_answers_connection_goes_back_or_is_closed_and_never_leaks(
    gateway: MakeGateway, raw_upstream: MakeUpstream, behave: Behave
) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello")
        await writer.drain()
        closed.append(await reader.read())

    closed: list[bytes] = []
    slow = await raw_upstream(endless)

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        await handler(asked)
        return Answer.json({"instead": True}, status=201)

    running = await gateway(public(slow.url, "plugin"))
    for _ in range(3):
        reply = await running.get("/api/brain/echo/")
        assert (reply.status, reply.body) == (201, b'{"instead": true}')
    (pool,) = running.host.gateway.snapshot.upstreams.values()
    assert (pool.in_flight, pool.status().idle) == (0, 0)
    async with asyncio.timeout(2):
        while len(closed) < 3:
            await asyncio.sleep(0.005)


async def test_a_cookie_set_by_a_plugin_stands_beside_the_upstreams(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    upstream.answer = made_of(b"ok", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/")

    def deed(answer: Answer) -> None:
        answer.set_cookie("a", "first")
        answer.set_cookie("a", "mine", max_age=60)
        answer.del_cookie("b")

    edit(behave, deed)
    cookies = (await ask(gateway, upstream)).all("Set-Cookie")
    assert [each.partition(";")[0] for each in cookies] == ["a=1", "b=2", "a=mine", 'b=""']


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_turned_bodiless_has_no_body_and_no_length_of_one(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, status: int
) -> None:
    """Row 17."""
    edit(behave, lambda answer: answer.set_status(status))
    reply = await ask(gateway, upstream)
    assert (reply.status, reply.body) == (status, b"")
    assert reply.header("Transfer-Encoding") is None
    assert status == 304 or reply.header("Content-Length") is None


async def test_a_head_keeps_its_length_when_headers_are_edited(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"
    edit(behave, lambda answer: answer.headers.update({"X-A": "1"}))
    reply = await ask(gateway, upstream, method="HEAD")
    assert reply.all("Content-Length") == ["77"]
    assert reply.header("X-A") == "1"


async def test_a_heads_length_that_is_no_number_is_not_sent(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    edit(behave, lambda answer: answer.headers.update({"Content-Length": "77, 78"}))
    reply = await ask(gateway, upstream, method="HEAD")
    assert (reply.status, reply.all("Content-Length")) == (200, [])


CLOSED_WAYS: dict[str, Callable[[Answer, web.BaseRequest], Any]] = {
    "prepare": lambda answer, asked: answer.prepare(asked),
    "write": lambda answer, _: answer.write(b"x"),
    "compression": lambda answer, _: answer.enable_compression(),
    "chunked": lambda answer, _: answer.enable_chunked_encoding(),
}


@pytest.mark.parametrize("way", CLOSED_WAYS)
async def test_a_plugin_never_sends_and_is_told_so(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, way: str
) -> None:
    told: list[str] = []

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        with pytest.raises(RuntimeError) as refused:
            await CLOSED_WAYS[way](answer, asked)
        told.append(str(refused.value))
        return answer

    assert (await ask(gateway, upstream)).status == 200
    assert len(told) == 2


async def test_an_answer_is_true_and_keeps_what_a_plugin_puts_on_it(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    kept: list[Any] = []

    key = web.ResponseKey("key", str)

    def deed(answer: Answer) -> None:
        assert answer
        assert answer.get(key) is None
        answer[key] = "value"
        kept.append((answer[key], len(answer), answer.origin))

    edit(behave, deed)
    await ask(gateway, upstream)
    assert kept == [("value", 1, "upstream")] * 2


async def test_the_origin_names_who_made_the_answer(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    origins: list[str] = []

    @behave
    async def outer(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        origins.append(answer.origin)
        return answer

    @behave
    async def maker(asked: web.BaseRequest, handler: Handler) -> Answer:
        if asked.query:
            return Answer(status=201)
        return await handler(asked)

    running = await gateway(public(upstream.url, "outer", "maker"))
    await running.get("/api/brain/echo/")
    await running.get("/api/brain/echo/?own")
    assert origins == ["upstream", "maker"]


async def test_a_plugins_answer_is_dated_and_framed_by_the_gateway(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        wrong = {"Content-Length": "999", "Transfer-Encoding": "chunked", "Connection": "upgrade"}
        return Answer(status=200, headers=wrong, body=b"hello")

    reply = await ask(gateway, upstream)
    assert reply.body == b"hello"
    assert reply.all("Content-Length") == ["5"]
    assert reply.all("Transfer-Encoding") == []
    assert reply.header("Connection") is None
    assert reply.header("Date") is not None


async def test_a_connection_is_closed_after_an_answer_that_asks_for_it(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    edit(behave, lambda answer: answer.force_close())
    running = await gateway(public(upstream.url, "plugin"))
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    assert (await client.reply()).header("Connection") == "close"
    assert await client.closed()
