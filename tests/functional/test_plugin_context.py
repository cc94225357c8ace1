"""What a plugin is given at setup: calls, pages, metrics, tasks, shared values, the status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from proxy import Answer, ConfigError, GatewayError, Handler, PluginContext
from proxy.runtime import context as runtime_context
from tests.functional import plugins_for_tests
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Script
from tests.functional.plugins_for_tests import Behaviour, Setup, entry, public

AtSetup = Callable[[Setup], Setup]
Behave = Callable[[Behaviour], Behaviour]
MakeUpstream = Callable[[Script], Awaitable[Any]]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not true():
            await asyncio.sleep(0.005)


@pytest.fixture
def contexts(at_setup: AtSetup) -> list[PluginContext]:
    """The contexts that the plugin `plugin` was set up with."""
    found: list[PluginContext] = []

    @at_setup
    async def plugin(context: PluginContext) -> None:
        found.append(context)

    return found


def pool(running: Gateway) -> Any:
    (found,) = running.host.gateway.snapshot.upstreams.values()
    return found


async def test_the_entry_and_the_status_are_told(
    gateway: MakeGateway, upstream: RecordingUpstream, contexts: list[PluginContext]
) -> None:
    running = await gateway(public(upstream.url, "plugin"))
    entry_info = contexts[0].entry
    assert (entry_info.identity, entry_info.file) == ("plugin", str(running.path))
    assert entry_info.line == 6
    assert contexts[0].logger.name == "brain.plugin.plugin"
    status = contexts[0].status()
    assert status.revision == running.host.gateway.snapshot.revision
    assert status.in_flight == 0


async def test_workflows_are_absent_rather_than_pretended(
    gateway: MakeGateway, upstream: RecordingUpstream, contexts: list[PluginContext]
) -> None:
    await gateway(public(upstream.url, "plugin"))
    assert not hasattr(contexts[0], "workflows")


# -- http


async def test_http_keeps_no_cookies_follows_no_redirects_and_asks_no_proxy(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    contexts: list[PluginContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await gateway(public(upstream.url, "plugin"))
    upstream.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    )
    http = contexts[0].http
    for _ in range(2):
        async with http.get(f"{upstream.url}/first") as answer:
            assert answer.status == 302
    async with http.post(f"{upstream.url}/first", data=b"x") as answer:
        assert answer.status == 302
    assert [seen.target for seen in upstream.seen] == ["/first"] * 3
    assert upstream.last.header("Cookie") is None


# -- service


async def test_a_service_is_called_over_its_own_pool(
    gateway: MakeGateway, upstream: RecordingUpstream, contexts: list[PluginContext]
) -> None:
    running = await gateway(public(f"{upstream.url}", "plugin"))
    caller = contexts[0].service("echo")
    answer = await caller.request("POST", "/x?y=%27", headers={"X-A": "1"}, body=b"hello")
    assert pool(running).in_flight == 1, "the answer holds its slot until it is read"
    assert (answer.status, await answer.read(100)) == (200, b"ok")
    assert pool(running).in_flight == 0
    assert upstream.last.line == "POST /x?y=%27 HTTP/1.1"
    assert upstream.last.body == b"hello"
    assert upstream.last.header("X-A") == "1"
    await (await caller.request("POST", "/x")).read(100)
    assert upstream.last.all("Content-Length") == ["0"]
    assert upstream.connections == 1, "connections are used again"
    with pytest.raises(ConfigError, match="no service 'other'"):
        contexts[0].service("other")


async def test_a_big_answer_is_read_whole_and_one_over_the_limit_is_an_error(
    gateway: MakeGateway, upstream: RecordingUpstream, contexts: list[PluginContext]
) -> None:
    running = await gateway(public(upstream.url, "plugin"))
    body = bytes(range(256)) * 4000
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    caller = contexts[0].service("echo")
    answer = await caller.request("GET", "/")
    assert await answer.read(len(body)) == body
    answer = await caller.request("GET", "/")
    with pytest.raises(GatewayError, match="answer_too_large"):
        await answer.read(len(body) - 1)
    answer.close()
    assert pool(running).in_flight == 0


async def test_a_slot_comes_back_from_an_answer_that_is_closed_dropped_or_never_came(
    gateway: MakeGateway, raw_upstream: MakeUpstream, contexts: list[PluginContext]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if healthy:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
            await reader.read()

    healthy = True
    server = await raw_upstream(serve)
    running = await gateway(public(server.url, "plugin"))
    caller = contexts[0].service("echo")
    closed = await caller.request("GET", "/")
    closed.close()
    assert pool(running).in_flight == 0
    dropped = await caller.request("GET", "/")
    assert dropped.status == 200
    del dropped
    assert pool(running).in_flight == 0
    with pytest.raises(GatewayError):
        await closed.read(100)
    healthy = False
    with pytest.raises(GatewayError, match="upstream_reset_before_headers"):
        await caller.request("GET", "/")
    assert pool(running).in_flight == 0


async def test_a_call_over_a_connection_that_had_been_closed_is_tried_anew(
    gateway: MakeGateway, raw_upstream: MakeUpstream, contexts: list[PluginContext]
) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.readuntil(b"\r\n\r\n")  # and then nothing

    server = await raw_upstream(once)
    await gateway(public(server.url, "plugin"))
    caller = contexts[0].service("echo")
    for _ in range(2):
        assert await (await caller.request("GET", "/")).read(10) == b"ok"
    with pytest.raises(GatewayError, match="upstream_reset_before_headers"):
        await caller.request("POST", "/")
    assert server.connections == 2


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET /x", "/", {}),
        ("GET", "/ HTTP/1.1\r\nEvil: 1", {}),
        ("GET", "x", {}),
        ("GET", "/", {"X-A": "a\r\nEvil: 1"}),
        ("GET", "/", {"Content-Length": "5"}),
        ("GET", "/", {"Transfer-Encoding": "chunked"}),
        ("GET", "/", {"Host": "other"}),
    ],
)
async def test_a_call_that_would_be_unclean_on_the_wire_is_refused(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    contexts: list[PluginContext],
    method: str,
    target: str,
    headers: dict[str, str],
) -> None:
    running = await gateway(public(upstream.url, "plugin"))
    with pytest.raises(ValueError, match=r"needs a method|belong to the gateway|control character"):
        await contexts[0].service("echo").request(method, target, headers=headers)
    assert upstream.seen == []
    assert pool(running).in_flight == 0


async def test_a_call_keeps_to_the_timeouts_and_the_head_bounds_of_its_service(
    gateway: MakeGateway, raw_upstream: MakeUpstream, contexts: list[PluginContext]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if b"/big" in asked:
            writer.write(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    server = await raw_upstream(serve)
    own = "    timeouts: {response: 100ms}\n    limits: {response_fields: 2}\n"
    running = await gateway(public(server.url, "plugin", extra=own))
    caller = contexts[0].service("echo")
    with pytest.raises(GatewayError, match="upstream_head_too_large"):
        await caller.request("GET", "/big")
    async with asyncio.timeout(5):
        with pytest.raises(GatewayError, match="upstream_response_timeout"):
            await caller.request("GET", "/slow")
    assert pool(running).in_flight == 0


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_services_answer_may_be_passed_on_as_the_plugins_own(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    contexts: list[PluginContext],
    behave: Behave,
    framing: str,
) -> None:
    chunked = b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    if framing == "chunked":
        upstream.answer = b"HTTP/1.1 200 OK\r\n" + chunked

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        return await contexts[0].service("echo").request("GET", "/instead")

    running = await gateway(public(upstream.url, "plugin"))
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, reply.body) == (200, b"ok")
    assert len(reply.all("Content-Length") + reply.all("Transfer-Encoding")) == 1
    assert upstream.last.target == "/instead"
    assert pool(running).in_flight == 0


# -- serve


async def test_a_plugin_serves_its_own_pages_behind_the_global_chain(
    gateway: MakeGateway, upstream: RecordingUpstream, at_setup: AtSetup
) -> None:
    async def shown(asked: web.BaseRequest) -> Answer:
        return Answer.json({"page": True})

    async def broken(asked: web.BaseRequest) -> Answer:
        raise KeyError("my secret")

    @at_setup
    async def plugin(context: PluginContext) -> None:
        context.serve("GET", "/mine/page", shown)
        context.serve("POST", "broken", broken)

    running = await gateway(
        f"""
        version: 1
        plugins: [request-id, {entry("plugin")}]
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    reply = await running.get("/api/brain/_mine/page")
    assert (reply.status, json.loads(reply.body)) == (200, {"page": True})
    assert reply.header("X-Request-Id") is not None
    head = await running.get("/api/brain/_mine/page", method="HEAD")
    assert (head.status, head.header("Content-Length")) == (200, "14")
    assert (await running.get("/api/brain/_broken")).status == 404
    failed = await running.get("/api/brain/_broken", method="POST", body=b"x")
    assert failed.status == 500
    assert b"secret" not in failed.body
    assert upstream.seen == []


async def test_a_page_that_another_plugin_serves_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream, at_setup: AtSetup
) -> None:
    async def page(asked: web.BaseRequest) -> Answer:
        return Answer()

    @at_setup
    async def one(context: PluginContext) -> None:
        context.serve("GET", "same", page)

    @at_setup
    async def two(context: PluginContext) -> None:
        context.serve("get", "/same/", page)

    with pytest.raises(ConfigError, match="plugin 'two': another plugin serves"):
        await gateway(public(upstream.url, "one", "two"))


# -- metrics, share, spawn


async def test_metrics_and_shared_values_outlive_a_reload(
    gateway: MakeGateway, upstream: RecordingUpstream, at_setup: AtSetup, notes: list[Any]
) -> None:
    shared: list[Any] = []

    @at_setup
    async def plugin(context: PluginContext) -> None:
        context.metrics.counter("test_setups", "How often.", ["who"]).labels("me").inc()
        shared.append(context.share("held", plugins_for_tests.Closed))

    running = await gateway(public(upstream.url, "plugin"))
    for _ in range(2):
        running.path.write_text(public(upstream.url, "plugin") + f"x-{len(shared)}: 1\n")
        assert await running.reload() is None
    await until(lambda: notes.count("close plugin") == 2)
    assert len(shared) == 3
    assert shared[0] is shared[1] is shared[2]
    assert b'test_setups_total{who="me"} 3.0' in (await running.admin("/metrics")).body
    assert "closed shared" not in notes, "the last user is still there"
    running.path.write_text(public(upstream.url))
    assert await running.reload() is None
    await until(lambda: "closed shared" in notes)
    assert notes.count("closed shared") == 1


async def test_a_task_that_dies_is_logged_counted_and_shown(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    at_setup: AtSetup,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        raise KeyError("a bug")

    @at_setup
    async def plugin(context: PluginContext) -> None:
        context.spawn(work, name="poll")

    running = await gateway(public(upstream.url, "plugin"))
    await until(lambda: "task poll died" in caplog.text)
    checks = json.loads((await running.admin("/ready")).body)["checks"]
    assert checks["poll"] == "task died: KeyError"
    assert running.host.gateway.status().task_deaths == 1


async def test_a_task_is_started_again_when_that_was_asked_for(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    at_setup: AtSetup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime_context, "RESTART_FIRST", 0.02)
    began: list[int] = []

    async def work() -> None:
        began.append(1)
        if len(began) == 1:
            raise KeyError("a bug")
        await asyncio.Event().wait()

    @at_setup
    async def plugin(context: PluginContext) -> None:
        context.spawn(work, name="poll", restart=True)

    running = await gateway(public(upstream.url, "plugin"))
    await until(lambda: running.host.gateway.status().task_deaths)
    assert json.loads((await running.admin("/ready")).body)["status"] == "degraded"
    await until(lambda: len(began) == 2)
    await asyncio.sleep(0)
    assert json.loads((await running.admin("/ready")).body)["status"] == "ok"


async def test_tasks_end_with_their_snapshot(
    gateway: MakeGateway, upstream: RecordingUpstream, at_setup: AtSetup
) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    @at_setup
    async def plugin(context: PluginContext) -> None:
        context.spawn(work, name="work", restart=True)

    running = await gateway(public(upstream.url, "plugin"))
    await asyncio.sleep(0)
    running.path.write_text(public(upstream.url))
    assert await running.reload() is None
    await until(lambda: ended)
