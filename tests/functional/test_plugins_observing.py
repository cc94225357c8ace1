"""request-id, access-log and metrics on a real gateway (rows 33-35)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[Any]]
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
async def start(gateway: MakeGateway, log_file: Path) -> Callable[..., Awaitable[Gateway]]:
    async def started(url: str, options: str = "", chain: str = "", top: str = "") -> Gateway:
        return await gateway(
            f"""
            version: 1
            {top}
            plugins:
              - request-id
              - access-log: {{file: "{log_file}"{options}}}
              - metrics
            services:
              echo:
                upstream: "{url}"
                public: true
                timeouts: {{response: 200ms}}
                plugins: [{chain}]
            """
        )

    return started


async def lines(path: Path, count: int) -> list[dict[str, Any]]:
    """Wait for so many lines, and a while longer for one too many."""

    def read() -> list[str]:
        return path.read_text().splitlines() if path.exists() else []

    async with asyncio.timeout(2):
        while len(await asyncio.to_thread(read)) < count:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.15)
    found = [json.loads(line) for line in await asyncio.to_thread(read)]
    assert len(found) == count, "one line for an exchange, not more"
    return found


# -- request-id


async def test_an_id_runs_from_the_upstreams_request_to_the_answer_the_log_and_the_error(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream, log_file: Path
) -> None:
    running = await start(upstream.url)
    reply = await running.get("/api/brain/echo/", "X-Request-Id: mine", "X_Request_Id: mine")
    given = reply.header("X-Request-Id") or ""
    assert UUID7.fullmatch(given)
    assert reply.all("X-Request-Id") == [given]
    assert upstream.last.all("X-Request-Id") == [given]
    assert b"mine" not in upstream.last.raw_head
    missing = await running.get("/nowhere")
    assert json.loads(missing.body)["request_id"] == missing.header("X-Request-Id")
    logged = await lines(log_file, 2)
    assert [line["request_id"] for line in logged] == [given, missing.header("X-Request-Id")]


async def test_a_trusted_proxys_id_is_kept_unless_it_is_unsafe(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream
) -> None:
    running = await start(upstream.url, top='gateway: {trusted_proxies: ["127.0.0.1/32"]}')
    reply = await running.get("/api/brain/echo/", "X-Request-Id: edge-1.2_3")
    assert reply.all("X-Request-Id") == ["edge-1.2_3"]
    assert upstream.last.all("X-Request-Id") == ["edge-1.2_3"]
    for unsafe in ("a b", "x" * 129, 'a"b'):
        reply = await running.get("/api/brain/echo/", f"X-Request-Id: {unsafe}")
        assert UUID7.fullmatch(reply.header("X-Request-Id") or "")
    reply = await running.get("/api/brain/echo/", "X-Request-Id: a", "X-Request-Id: b")
    assert UUID7.fullmatch(reply.header("X-Request-Id") or "")


async def test_what_the_parser_refuses_is_numbered_too(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream, log_file: Path
) -> None:
    running = await start(upstream.url)
    reply = await running.ask(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
    assert reply.status == 400
    assert UUID7.fullmatch(reply.header("X-Request-Id") or "")
    (line,) = await lines(log_file, 1)
    assert (line["status"], line["code"], line["side"]) == (400, "bad_request", "client")
    assert line["request_id"] == reply.header("X-Request-Id")


# -- access-log


async def test_a_line_tells_who_what_where_and_how_long(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream, log_file: Path
) -> None:
    running = await start(upstream.url)
    await running.get(
        "/api/brain/echo/a/b?token=secret-1",
        "Authorization: secret-2",
        "Cookie: secret-3",
        "Referer: secret-4",
        method="POST",
        body=b"secret-5",
    )
    (line,) = await lines(log_file, 1)
    assert {name: line[name] for name in ("method", "path", "status", "route", "service")} == {
        "method": "POST",
        "path": "/api/brain/echo/a/b",
        "status": 200,
        "route": "echo",
        "service": "echo",
    }
    assert (line["client"], line["received"], line["sent"]) == ("127.0.0.1", 8, 2)
    assert (line["attempts"], line["reused"]) == (1, False)
    assert line["target"] == upstream.url
    assert {"total", "chain", "connect", "send", "wait", "body"} <= set(line["ms"])
    assert 0 < line["ms"]["wait"] <= line["ms"]["total"]
    assert "secret" not in json.dumps(line), "never headers, the query, or a body"


async def test_headers_and_query_values_are_logged_where_they_are_listed(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream, log_file: Path
) -> None:
    upstream.answer = b"HTTP/1.1 200 OK\r\nX-Cache: hit\r\nContent-Length: 0\r\n\r\n"
    running = await start(
        upstream.url,
        ", request_headers: [User-Agent], response_headers: [X-Cache], query: [page]",
    )
    await running.get("/api/brain/echo/?page=2&other=hidden", "User-Agent: test/1", "X-A: hidden")
    (line,) = await lines(log_file, 1)
    assert line["request_headers"] == {"User-Agent": "test/1"}
    assert line["response_headers"] == {"X-Cache": "hit"}
    assert line["query"] == {"page": "2"}
    assert "hidden" not in json.dumps(line)


async def test_each_way_to_end_has_its_line(
    start: Callable[..., Awaitable[Gateway]], raw_upstream: MakeUpstream, log_file: Path
) -> None:
    reached = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/switch" in head:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n")
            writer.write(b"Upgrade: websocket\r\n\r\n")
            writer.write(await reader.readexactly(4))
        elif b"/cut" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell")
            await writer.drain()
        elif b"/reset" not in head:
            reached.set()
            await reader.read()

    server = await raw_upstream(serve)
    running = await start(server.url)
    await running.get("/nowhere")
    await running.get("/api/brain/echo/reset")
    await running.get("/api/brain/echo/slow")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await running.get("/api/brain/echo/cut")
    reached.clear()
    leaving = await running.client()
    leaving.send(request("/api/brain/echo/leave"))
    await asyncio.wait_for(reached.wait(), 2)
    leaving.close()
    await lines(log_file, 5)
    switching = await running.client()
    switching.send(
        request(
            "/api/brain/echo/switch",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        )
    )
    assert (await switching.head()).status == 101
    switching.send(b"ping")
    assert await switching.reader.readexactly(4) == b"ping"
    found = await lines(log_file, 6)
    assert [
        (line["path"].rpartition("/")[2], line["status"], line.get("code")) for line in found
    ] == [
        ("nowhere", 404, "no_route"),
        ("reset", 502, "upstream_reset_before_headers"),
        ("slow", 504, "upstream_response_timeout"),
        ("cut", 200, "upstream_reset_mid_body"),
        ("leave", 499, "client_left"),
        ("switch", 101, None),
    ]
    assert (found[-1]["received"], found[-1]["sent"]) == (4, 4)


async def test_no_client_can_forge_a_line(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream, log_file: Path
) -> None:
    running = await start(upstream.url, ", format: text, request_headers: [User-Agent]")
    agent = b'a" status=200 \x1b[31m \xe2\x80\xae \xff'
    raw = request("/api/brain/echo/%0d%0aforged").replace(
        b"\r\n\r\n", b"\r\nUser-Agent: " + agent + b"\r\n\r\n"
    )
    await running.ask(raw)
    async with asyncio.timeout(2):
        while not (text := await asyncio.to_thread(_read, log_file)):
            await asyncio.sleep(0.01)
    assert text.count("\n") == 1
    assert text[:-1].isprintable()
    assert "\x1b" not in text


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


# -- metrics


async def scrape(running: Gateway) -> dict[str, float]:
    text = (await running.admin("/metrics")).body.decode()
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


async def test_a_scrape_has_the_families_that_are_promised(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream
) -> None:
    running = await start(upstream.url)
    await running.get("/api/brain/echo/x", method="POST", body=b"hello")
    text = (await running.admin("/metrics")).body.decode()
    families = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert {
        "brain_requests_total": "counter",
        "brain_requests_in_flight": "gauge",
        "brain_request_duration_seconds": "histogram",
        "brain_time_to_first_byte_seconds": "histogram",
        "brain_request_bytes_total": "counter",
        "brain_response_bytes_total": "counter",
        "brain_upstream_connections": "gauge",
        "brain_retries_total": "counter",
        "brain_reloads_total": "counter",
        "brain_config_revision_info": "gauge",
        "brain_build_info": "gauge",
        "brain_plugin_task_deaths_total": "counter",
    }.items() <= families.items()
    found = await scrape(running)
    route = 'route="echo",service="echo"'
    series = f'brain_requests_total{{{route},method="POST",status_class="2xx",code=""}}'
    assert found[_sorted(series, found)] == 1
    assert found[_sorted(f"brain_request_bytes_total{{{route}}}", found)] == 5
    assert found[_sorted(f"brain_response_bytes_total{{{route}}}", found)] == 2
    assert found['brain_requests_in_flight{service="echo"}'] == 0
    idle = 'brain_upstream_connections{state="idle",upstream="echo"}'
    assert found[_sorted(idle, found)] == 1


def _sorted(series: str, found: dict[str, float]) -> str:
    """Return the name in `found` with the same labels in whatever order."""

    def key(name: str) -> tuple[str, frozenset[str]]:
        family, _, labels = name.partition("{")
        return family, frozenset(re.findall(r'\w+="[^"]*"', labels))

    (same,) = [name for name in found if key(name) == key(series)]
    return same


async def test_no_client_can_make_series_without_end(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream
) -> None:
    """Row 35: routes, services, status classes, codes and known methods are all there is."""
    running = await start(upstream.url)
    for number, method in enumerate(("REPORT", "PROPFIND", "MKCOL", "LOCK", "PURGE")):
        await running.get(f"/api/brain/echo/{number}?{number}", method=method)
        await running.get(f"/nowhere/{number}", f"X-Tenant-Id: {number}")
        await running.ask(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")
    counted = [name for name in await scrape(running) if name.startswith("brain_requests_total")]
    labels = {
        tuple(sorted(re.findall(r'(?:method|status_class|code|route)="[^"]*"', name)))
        for name in counted
    }
    assert len(counted) == len(labels) == 3
    assert {re.findall(r'method="([^"]*)"', name)[0] for name in counted} == {"GET", "other"}


async def test_counts_survive_a_reload(
    start: Callable[..., Awaitable[Gateway]], upstream: RecordingUpstream
) -> None:
    running = await start(upstream.url)
    await running.get("/api/brain/echo/x")
    text = running.path.read_text()
    running.path.write_text(text + "\nx-more: 1\n")
    assert await running.reload() is None
    await running.get("/api/brain/echo/x")
    found = await scrape(running)
    total = [value for name, value in found.items() if name.startswith("brain_requests_total")]
    assert total == [2]
    assert found['brain_reloads_total{result="ok"}'] == 1
