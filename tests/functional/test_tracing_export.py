"""Where spans go, and what becomes of them when nobody takes them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.functional.collector import Collector, exporting, traced
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Script

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    await made.start()
    yield made
    await made.stop()


async def test_the_collector_gets_the_files_headers_and_nothing_of_the_environment(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-environment=1")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "x.environment=1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    options = 'export: otlp, endpoint: "${COLLECTOR}", headers: {Authorization: "Bearer ${TOKEN}"}'
    running = await traced(
        gateway, upstream.url, options, COLLECTOR=f"{collector.url}/", TOKEN="t-1"
    )
    await running.get("/api/brain/echo/")
    await collector.wait(2)
    (sent,) = collector.requests
    assert sent.headers["Authorization"] == "Bearer t-1"
    assert sent.headers["Content-Type"] == "application/x-protobuf"
    assert "x-environment" not in sent.headers
    assert "x.environment" not in collector.resources[0]
    assert collector.resources[0]["service.name"] == "brain-gateway"


async def test_a_collector_that_is_away_costs_no_request_and_is_told_once(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await traced(gateway, upstream.url, exporting(collector, ", timeout: 100ms"))
    await collector.stop()
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            async with asyncio.timeout(1):
                assert (await running.get("/api/brain/echo/")).status == 200
            await told(caplog, "can't be exported", 1)
            await asyncio.sleep(0.6)  # longer than a batch waits: each is tried on its own
    await collector.start()
    async with asyncio.timeout(10):
        while not collector.spans:
            assert (await running.get("/api/brain/echo/")).status == 200
            await asyncio.sleep(0.2)
    await told(caplog, "exported again", 1)
    warned = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert {each.name for each in warned} == {"brain.plugin.tracing"}
    assert len(warned) == 2, "one line when it begins, one when it is over"
    assert "Bearer" not in caplog.text
    assert await dropped(running) >= 6


async def dropped(running: Gateway) -> float:
    page = (await running.admin("/metrics")).body.decode()
    (line,) = [one for one in page.splitlines() if one.startswith("brain_tracing_spans_dropped_t")]
    return float(line.split()[1])


async def told(caplog: pytest.LogCaptureFixture, text: str, times: int) -> None:
    async with asyncio.timeout(10):
        while sum(text in each.getMessage() for each in caplog.records) < times:
            await asyncio.sleep(0.01)
    assert sum(text in each.getMessage() for each in caplog.records) == times


async def test_a_collector_that_refuses_is_told_with_its_status(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector.status = 401
    running = await traced(gateway, upstream.url, exporting(collector))
    await running.get("/api/brain/echo/")
    await told(caplog, "can't be exported", 1)
    assert "401" in caplog.text


async def test_a_stop_sends_what_waits(
    gateway: MakeGateway, upstream: RecordingUpstream, collector: Collector
) -> None:
    running = await traced(gateway, upstream.url, exporting(collector))
    await running.get("/api/brain/echo/")
    await running.stop()
    assert len(collector.spans) == 2


async def test_a_collector_that_hangs_holds_up_neither_requests_nor_a_stop(
    gateway: MakeGateway, upstream: RecordingUpstream, raw_upstream: MakeUpstream
) -> None:
    reached = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()

    hanging = await raw_upstream(hang)
    running = await traced(gateway, upstream.url, f'export: otlp, endpoint: "{hanging.url}"')
    await running.get("/api/brain/echo/")
    await asyncio.wait_for(reached.wait(), 5)
    async with asyncio.timeout(2):
        for _ in range(20):
            assert (await running.get("/api/brain/echo/")).status == 200
    async with asyncio.timeout(5):
        await running.stop()


async def test_spans_that_a_collector_rejects_are_counted(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector.rejects = 1
    running = await traced(gateway, upstream.url, exporting(collector))
    await running.get("/api/brain/echo/")
    await told(caplog, "are lost: too old", 1)
    assert await dropped(running) == 1


async def test_a_reload_loses_no_span_and_begins_no_second_exporter(
    gateway: MakeGateway, upstream: RecordingUpstream, collector: Collector
) -> None:
    running = await traced(gateway, upstream.url, exporting(collector))
    await running.get("/api/brain/echo/1")
    text = running.path.read_text()
    running.path.write_text(text + "\nx-more: 1\n")
    assert await running.reload() is None
    await running.get("/api/brain/echo/2")
    assert [each.name for each in threading.enumerate()].count("tracing") == 1
    await collector.wait(4)
    running.path.write_text(text.replace("export: otlp", "service_name: other, export: otlp"))
    assert await running.reload() is None
    await running.get("/api/brain/echo/3")
    await collector.wait(6)
    async with asyncio.timeout(5):
        while [each.name for each in threading.enumerate()].count("tracing") > 1:
            await asyncio.sleep(0.01)
    assert [each["service.name"] for each in collector.resources][-1] == "other"
