"""A handler always returns an Answer: whatever an inner plugin does, the outer ones act on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from proxy import EXCHANGE, Answer, GatewayError, Handler, Problem, Unavailable
from proxy.runtime import holders
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawUpstream, RecordingUpstream, Script, request
from tests.functional.plugins_for_tests import Behaviour, public

Behave = Callable[[Behaviour], Behaviour]


def watch(behave: Behave) -> list[Any]:
    """Register `outer`, which notes what its handler gave it."""
    seen: list[Any] = []

    @behave
    async def outer(asked: web.BaseRequest, handler: Handler) -> Answer:
        answer = await handler(asked)
        seen.append(answer)
        answer.add_header("X-Outer", "1")
        return answer

    return seen


REFUSALS: list[tuple[Callable[[], Exception], int, str | None, str]] = [
    (lambda: GatewayError("upstream_saturated"), 503, "upstream_saturated", "gateway"),
    (lambda: Problem(402, "quota_exceeded", "Used up."), 402, "quota_exceeded", "gateway"),
    (lambda: Problem(503, "closed_today", "Shut."), 503, "closed_today", "gateway"),
    (lambda: Unavailable("no keys", code="keys_away"), 503, "keys_away", "gateway"),
    (lambda: web.HTTPNotFound(text="nothing"), 404, None, "inner"),
    (lambda: web.HTTPFound("/elsewhere"), 302, None, "inner"),
    (lambda: KeyError("my secret"), 500, "plugin_failed", "gateway"),
    (lambda: ValueError("my secret"), 500, "plugin_failed", "gateway"),
    (lambda: Problem(200, "fine", ""), 500, "plugin_failed", "gateway"),
    (lambda: Problem(400, "not snake", ""), 500, "plugin_failed", "gateway"),
    (lambda: Problem(400, "odd", "", headers={"X": "a\r\nb"}), 500, "plugin_failed", "gateway"),
]


@pytest.mark.parametrize(("error", "status", "code", "origin"), REFUSALS)
async def test_whatever_a_plugin_raises_becomes_an_answer_that_outer_plugins_see(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    error: Callable[[], Exception],
    status: int,
    code: str | None,
    origin: str,
) -> None:
    seen = watch(behave)

    @behave
    async def inner(asked: web.BaseRequest, handler: Handler) -> Answer:
        raise error()

    running = await gateway(public(upstream.url, "outer", "inner"))
    reply = await running.get("/api/brain/echo/")
    assert reply.status == status
    assert reply.header("X-Outer") == "1"
    assert isinstance(seen[0], Answer)
    assert seen[0].origin == origin
    if code is not None:
        assert json.loads(reply.body)["code"] == code
        assert f'details="{code}"' in (reply.header("Proxy-Status") or "")
        assert "plugin_refused" not in reply.raw_head.decode() + reply.body.decode()
    assert (reply.header("Retry-After") is not None) == (status == 503)
    assert upstream.seen == [], "plugins fail closed"


async def test_a_bug_is_told_in_the_log_with_the_plugins_name_and_not_to_the_client(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @behave
    async def clumsy(asked: web.BaseRequest, handler: Handler) -> Answer:
        raise KeyError("my secret")

    running = await gateway(public(upstream.url, "clumsy", extra="plugins: [request-id]\n"))
    reply = await running.get("/api/brain/echo/")
    told = reply.raw_head.decode() + reply.body.decode()
    assert "clumsy" not in told
    assert "secret" not in told
    assert "KeyError" not in told
    assert "'clumsy' failed on route 'echo" in caplog.text
    (record,) = [each for each in caplog.records if each.exc_info]
    assert vars(record)["plugin"] == "clumsy"
    assert vars(record)["request_id"] == json.loads(reply.body)["request_id"]
    assert "my secret" in caplog.text
    assert upstream.seen == []


@pytest.mark.parametrize("made", [None, "text", web.StreamResponse(), object()])
async def test_what_is_no_answer_is_a_bug(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, made: Any
) -> None:
    seen = watch(behave)

    @behave
    async def inner(asked: web.BaseRequest, handler: Handler) -> Any:
        return made

    running = await gateway(public(upstream.url, "outer", "inner"))
    assert (await running.get("/api/brain/echo/")).status == 500
    assert seen[0].status == 500


async def test_a_bug_after_the_upstream_answered_is_a_500_and_leaks_no_connection(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def late(asked: web.BaseRequest, handler: Handler) -> Answer:
        await handler(asked)
        raise RuntimeError("too late")

    running = await gateway(public(upstream.url, "late"))
    for _ in range(3):
        assert (await running.get("/api/brain/echo/")).status == 500
    assert upstream.connections == 1, "the answer was whole, so its connection was kept"
    assert running.host.gateway.status().upstreams[0].in_flight == 0


async def test_an_http_exception_keeps_its_headers_and_cookies(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def away(asked: web.BaseRequest, handler: Handler) -> Answer:
        refused = web.HTTPSeeOther("/login", headers={"X-Why": "because"})
        refused.set_cookie("back", "here")
        raise refused

    running = await gateway(public(upstream.url, "away"))
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, reply.reason) == (303, "See Other")
    assert reply.header("Location") == "/login"
    assert reply.header("X-Why") == "because"
    assert reply.all("Set-Cookie") == ["back=here; Path=/"]


async def test_an_upstreams_failure_reaches_outer_plugins_as_an_answer(
    gateway: MakeGateway,
    raw_upstream: Callable[[Script], Any],
    behave: Behave,
) -> None:
    seen = watch(behave)
    broken: RawUpstream = await raw_upstream(b"")
    running = await gateway(public(broken.url, "outer"))
    reply = await running.get("/api/brain/echo/")
    assert reply.status == 502
    assert seen[0].error.code == "upstream_reset_before_headers"


async def test_only_a_cancellation_passes_through_the_chain(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    passed: list[str] = []
    waiting = asyncio.Event()

    @behave
    async def outer(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].on_finish(lambda exchange: passed.append(f"status {exchange.status}"))
        try:
            return await handler(asked)
        except asyncio.CancelledError:
            passed.append("cancelled")
            raise

    @behave
    async def inner(asked: web.BaseRequest, handler: Handler) -> Answer:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError

    running = await gateway(public(upstream.url, "outer", "inner"))
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    await asyncio.wait_for(waiting.wait(), 2)
    client.close()
    async with asyncio.timeout(2):
        while len(passed) < 2:
            await asyncio.sleep(0.005)
    assert passed == ["cancelled", "status 499"]


async def test_a_plugin_that_never_returns_is_named_in_the_log_once_and_others_are_served(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(holders, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(holders, "HELD_AFTER", 0.1)

    @behave
    async def patient(asked: web.BaseRequest, handler: Handler) -> Answer:
        return await handler(asked)

    @behave
    async def stuck(asked: web.BaseRequest, handler: Handler) -> Answer:
        if asked.path.endswith("/stuck"):
            await asyncio.Event().wait()
        return await handler(asked)

    running = await gateway(public(upstream.url, "patient", "stuck", "request-id"))
    client = await running.client()
    client.send(request("/api/brain/echo/stuck"))
    async with asyncio.timeout(5):
        while "has held" not in caplog.text:
            assert (await running.get("/api/brain/echo/")).status == 200
    await asyncio.sleep(0.1)
    assert caplog.text.count("plugin 'stuck' has held a request on route 'echo") == 1
    assert "'patient'" not in caplog.text
    client.close()


async def test_waiting_for_an_upstream_is_no_plugins_doing(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(holders, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(holders, "HELD_AFTER", 0.05)

    @behave
    async def patient(asked: web.BaseRequest, handler: Handler) -> Answer:
        return await handler(asked)

    upstream.hold = asyncio.Event()
    running = await gateway(public(upstream.url, "patient"))
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    await asyncio.sleep(0.3)
    upstream.hold.set()
    assert (await client.reply()).status == 200
    assert "has held" not in caplog.text
