"""`answer.tap`: a body that is looked at on its way keeps that way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from proxy import Answer, Handler
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream, Script
from tests.functional.plugins_for_tests import Behaviour, public
from tests.functional.test_plugin_answer import ask, edit, made_of

Behave = Callable[[Behaviour], Behaviour]
MakeUpstream = Callable[[Script], Awaitable[Any]]


class Seen:
    """A tap that keeps what goes by."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ends = 0

    def feed(self, data: bytes) -> None:
        self.chunks.append(data)

    def end(self) -> None:
        self.ends += 1


LARGE = bytes(range(256)) * 4096
LARGE_CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: x\r\n\r\n"
    + b"100000\r\n%b\r\n0\r\n\r\n" % LARGE
)


@pytest.mark.parametrize("framing", ["short", "length", "chunked"])
async def test_a_tap_sees_the_body_go_by_on_its_raw_way(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, framing: str
) -> None:
    body = b"hello" if framing == "short" else LARGE
    upstream.answer = LARGE_CHUNKED if framing == "chunked" else made_of(body, "Digest: x")
    seen: list[Seen] = []
    raw: list[bool] = []

    def deed(answer: Answer) -> None:
        seen.extend((Seen(), Seen()))
        for tap in seen[-2:]:
            answer.tap(tap)
        raw.append(answer.untouched)

    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert reply.body == body
    assert raw == [True, True]
    assert [(b"".join(tap.chunks), tap.ends) for tap in seen] == [(body, 1)] * 4
    if framing != "chunked":
        assert reply.header("Content-Length") == str(len(body))
        assert reply.header("Digest") == "x"


async def test_a_tap_sees_what_stands_inside_of_it_and_not_what_stands_outside(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    upstream.answer = made_of(LARGE)

    async def without(body: AsyncIterator[bytes], digit: bytes) -> AsyncIterator[bytes]:
        async for chunk in body:
            yield chunk.replace(digit, b"")

    seen: list[Seen] = []

    @behave
    async def outer(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        answer.body = without(answer.body, b"0")
        return answer

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        seen.append(Seen())
        answer.tap(seen[-1])
        return answer

    @behave
    async def inner(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        if asked.query:
            answer.body = without(answer.body, b"1")
        return answer

    running = await gateway(public(upstream.url, "outer", "plugin", "inner"))
    for query, left in (("", LARGE), ("?inner", LARGE.replace(b"1", b""))):
        reply = await running.get(f"/api/brain/echo/{query}")
        assert reply.body == left.replace(b"0", b"")
        assert (b"".join(seen[-1].chunks), seen[-1].ends) == (left, 1)


@pytest.mark.parametrize("deed", ["reads", "replaces", "breaks"])
async def test_a_tap_gets_an_end_only_for_a_body_that_has_one(
    gateway: MakeGateway, raw_upstream: MakeUpstream, behave: Behave, deed: str
) -> None:
    whole = made_of(LARGE)
    server = await raw_upstream(whole[:-1] if deed == "breaks" else whole)
    seen = Seen()

    @behave
    async def outer(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        if deed == "reads":
            await answer.read(len(LARGE))
        elif deed == "replaces":
            answer.replace(b"instead")
        return answer

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        answer.tap(seen)
        return answer

    running = await gateway(public(server.url, "outer", "plugin"))
    if deed == "breaks":
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await running.get("/api/brain/echo/")
        assert b"".join(seen.chunks) == LARGE[:-1]
    else:
        reply = await running.get("/api/brain/echo/")
        assert reply.body == (LARGE if deed == "reads" else b"instead")
    assert seen.ends == (1 if deed == "reads" else 0)


class Failing(Seen):
    """A tap that fails at the first chunk, or at the end."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self._at = at

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if self._at == "feed":
            raise KeyError("a bug")

    def end(self) -> None:
        super().end()
        if self._at == "end":
            raise KeyError("a bug")


@pytest.mark.parametrize("at", ["feed", "end"])
@pytest.mark.parametrize("framing", ["short", "length", "wrapped"])
async def test_a_tap_that_fails_sees_no_more_and_breaks_nothing(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
    framing: str,
    at: str,
) -> None:
    body = b"hello" if framing == "short" else LARGE
    upstream.answer = made_of(body, "Digest: x")
    failing, other = Failing(at), Seen()

    def deed(answer: Answer) -> None:
        if framing == "wrapped":
            answer.body = answer.body
        answer.tap(failing)
        answer.tap(other)

    edit(behave, deed)
    reply = await ask(gateway, upstream)
    assert reply.body == body
    # Two answers went by, each with both taps.
    assert b"".join(other.chunks) == body * 2
    assert other.ends == 2
    assert (len(failing.chunks) if at == "feed" else failing.ends) == 2
    assert "a tap failed: tests.functional.test_answer_taps.Failing" in caplog.text
