"""tracing on a real gateway, with a collector that reads what is really sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.functional.collector import Collector, exporting, traced, values
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawUpstream, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TRUSTED = 'trusted_proxies: ["127.0.0.1/32"]'


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    await made.start()
    yield made
    await made.stop()


# -- context


async def test_a_trace_begins_here_unless_a_trusted_caller_began_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    sent = (f"traceparent: 00-{TRACE}-{SPAN}-01", "tracestate: a=1", "tracestate: b=2")
    strangers = await traced(gateway, upstream.url)
    await strangers.get("/api/brain/echo/", *sent)
    (begun,) = upstream.last.all("traceparent")
    assert TRACE not in begun
    assert begun.startswith("00-")
    assert begun.endswith("-01")
    assert upstream.last.all("tracestate") == []
    trusting = await traced(gateway, upstream.url, top=TRUSTED)
    await trusting.get("/api/brain/echo/", *sent)
    assert upstream.last.all("traceparent") == [f"00-{TRACE}-{SPAN}-01"]
    assert upstream.last.all("tracestate") == ["a=1,b=2"]


async def test_no_spelling_of_the_headers_slips_by(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await traced(gateway, upstream.url, "trust: none")
    await running.get("/api/brain/echo/", f"TraceParent: 00-{TRACE}-{SPAN}-01", "TRACESTATE: a=1")
    (begun,) = upstream.last.all("traceparent")
    assert TRACE not in begun
    assert upstream.last.all("tracestate") == []


async def test_malformed_context_is_replaced(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await traced(gateway, upstream.url, "trust: any")
    good = f"00-{TRACE}-{SPAN}-01"
    for fields in (
        ("traceparent: x",),
        (f"traceparent: ff-{TRACE}-{SPAN}-01",),
        (f"traceparent: {good}", f"traceparent: {good}"),
        ("traceparent: ",),
    ):
        await running.get("/api/brain/echo/", *fields, "tracestate: a=1")
        (told,) = upstream.last.all("traceparent")
        assert TRACE not in told
        assert upstream.last.all("tracestate") == []
    await running.get("/api/brain/echo/", f"traceparent: {good}", "tracestate: A=1")
    assert upstream.last.all("traceparent") == [good]
    assert upstream.last.all("tracestate") == []


async def test_the_answer_tells_the_trace_where_the_file_says_so(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await traced(gateway, upstream.url, "header: X-Trace-Id")
    reply = await running.get("/api/brain/echo/")
    (told,) = upstream.last.all("traceparent")
    assert reply.all("X-Trace-Id") == [told.split("-")[1]]
    assert len((await running.get("/nowhere")).header("X-Trace-Id") or "") == 32
    refused = await running.ask(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
    assert len(refused.header("X-Trace-Id") or "") == 32


async def test_the_access_log_shows_the_trace_where_it_lists_that_header(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    running = await gateway(
        f"""
        version: 1
        plugins:
          - access-log: {{file: "{log}", response_headers: [X-Trace-Id]}}
          - tracing: {{header: X-Trace-Id}}
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    reply = await running.get("/api/brain/echo/")
    await running.stop()
    line = json.loads(await asyncio.to_thread(log.read_text))
    assert line["response_headers"] == {"X-Trace-Id": reply.header("X-Trace-Id")}


# -- spans


async def test_an_exchange_becomes_a_span_with_one_for_its_attempt_below_it(
    gateway: MakeGateway, upstream: RecordingUpstream, collector: Collector
) -> None:
    more = ", service_name: edge, resource: {deployment.environment.name: test}"
    running = await traced(gateway, upstream.url, exporting(collector, more), top=TRUSTED)
    reply = await running.get(
        "/api/brain/echo/a?token=secret-1",
        f"traceparent: 00-{TRACE}-{SPAN}-01",
        "tracestate: a=1",
        "Authorization: secret-2",
        method="POST",
        body=b"secret-3",
    )
    assert reply.status == 200
    spans = await collector.wait(2)
    server = next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    client = next(span for span in spans if span.kind == Span.SPAN_KIND_CLIENT)
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert server.parent_span_id.hex() == SPAN
    assert client.parent_span_id == server.span_id
    assert upstream.last.all("traceparent") == [f"00-{TRACE}-{client.span_id.hex()}-01"]
    assert upstream.last.all("tracestate") == ["a=1"]
    assert server.trace_state == client.trace_state == "a=1"
    # Remote or not (opentelemetry-proto, SpanFlags): 0x100 says that it is known, 0x200 that it is.
    assert server.flags & 0x300 == 0x300
    assert client.flags & 0x300 == 0x100
    assert (server.name, client.name) == ("POST echo", "POST")
    assert values(server.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "echo",
        "url.scheme": "http",
        "url.path": "/api/brain/echo/a",
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "server.address": "gateway.test",
        "server.port": 80,
        "brain.service": "echo",
        "brain.request_id": reply.header("X-Request-Id"),
    }
    assert values(client.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": upstream.port,
        "network.protocol.version": "1.1",
        "brain.connection.reused": False,
    }
    assert server.start_time_unix_nano <= client.start_time_unix_nano
    assert client.end_time_unix_nano <= server.end_time_unix_nano
    names = [event.name for event in client.events]
    assert names == ["upstream.resolved", "upstream.connected", "request.sent", "response.head"]
    moments = [event.time_unix_nano for event in client.events]
    assert moments == sorted(moments)
    assert {span.status.code for span in spans} == {Status.STATUS_CODE_UNSET}
    assert collector.resources[0]["service.name"] == "edge"
    assert collector.resources[0]["deployment.environment.name"] == "test"
    assert b"secret" not in b"".join(span.SerializeToString() for span in spans)


async def test_each_attempt_has_its_span_and_the_last_is_what_the_upstream_was_told(
    gateway: MakeGateway, upstream: RecordingUpstream, collector: Collector
) -> None:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
    targets = f'{{targets: ["{dead}", "{upstream.url}"]}}'
    running = await traced(gateway, targets, exporting(collector))
    spans: list[Span] = []
    while len(spans) != 3:  # the targets take turns, and the dead one is not always first
        assert (await running.get("/api/brain/echo/")).status == 200
        spans = await collector.trace(str(upstream.last.header("traceparent")))
    server = next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    clients = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT]
    first, last = sorted(clients, key=lambda span: span.start_time_unix_nano)
    assert first.parent_span_id == last.parent_span_id == server.span_id
    assert upstream.last.all("traceparent") == [
        f"00-{server.trace_id.hex()}-{last.span_id.hex()}-01"
    ]
    assert first.status.code == Status.STATUS_CODE_ERROR
    assert values(first.attributes)["error.type"] == "upstream_connect_refused"
    assert values(last.attributes)["http.request.resend_count"] == 1
    assert server.status.code == last.status.code == Status.STATUS_CODE_UNSET
    assert server.parent_span_id == b""


async def test_errors_have_their_code_and_only_failures_the_status(
    gateway: MakeGateway, raw_upstream: MakeUpstream, collector: Collector
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await raw_upstream(silent)
    running = await traced(gateway, server.url, exporting(collector))
    assert (await running.get("/api/brain/echo/slow")).status == 504
    late = await collector.wait(2)
    assert {values(span.attributes)["error.type"] for span in late} == {"upstream_response_timeout"}
    assert {span.status.code for span in late} == {Status.STATUS_CODE_ERROR}
    collector.spans.clear()
    assert (await running.get("/nowhere")).status == 404
    (missing,) = await collector.wait(1)
    assert missing.name == "GET"
    found = values(missing.attributes)
    assert (found["http.response.status_code"], found["error.type"]) == (404, "no_route")
    assert "http.route" not in found
    assert missing.status.code == Status.STATUS_CODE_UNSET


async def test_a_client_that_leaves_is_no_failure_of_the_gateway(
    gateway: MakeGateway, raw_upstream: MakeUpstream, collector: Collector
) -> None:
    reached = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await reader.read()

    server = await raw_upstream(silent)
    running = await traced(gateway, server.url, exporting(collector))
    leaving = await running.client()
    leaving.send(request("/api/brain/echo/"))
    await asyncio.wait_for(reached.wait(), 2)
    leaving.close()
    spans = await collector.wait(2)
    left = next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    assert values(left.attributes)["error.type"] == "client_left"
    assert "http.response.status_code" not in values(left.attributes)
    assert left.status.code == Status.STATUS_CODE_UNSET


async def test_what_is_not_sampled_is_not_exported(
    gateway: MakeGateway, upstream: RecordingUpstream, collector: Collector
) -> None:
    running = await traced(gateway, upstream.url, exporting(collector, ", sample: 0%"), top=TRUSTED)
    for _ in range(3):
        await running.get("/api/brain/echo/")
        assert str(upstream.last.header("traceparent")).endswith("-00")
    await running.get("/api/brain/echo/", f"traceparent: 00-{TRACE}-{SPAN}-00")
    assert upstream.last.all("traceparent") == [f"00-{TRACE}-{SPAN}-00"]
    # Its caller decided, and this one comes last: all before it would have been sent by then.
    await running.get("/api/brain/echo/", f"traceparent: 00-{TRACE}-{SPAN}-01")
    spans = await collector.wait(2)
    assert {span.trace_id.hex() for span in spans} == {TRACE}
