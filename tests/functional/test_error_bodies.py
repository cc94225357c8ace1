"""Every error is told in one shape, everywhere with one code (semantics.md, rows 33-35)."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.codes import CODES
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Reply, Script

Upstreams = Callable[[Script], Awaitable[RawUpstream]]

KEYS = {
    "type",
    "title",
    "status",
    "detail",
    "message",
    "code",
    "request_id",
    "service",
    "retryable",
}


def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.fixture
async def running(
    gateway: MakeGateway, upstream: RecordingUpstream, raw_upstream: Upstreams, tmp_path: Path
) -> Gateway:
    """A gateway that logs and counts, with one service for each way to fail."""
    reset = await raw_upstream(b"")
    invalid = await raw_upstream(b"BOGUS\r\n\r\n")
    slow = await raw_upstream(hang)
    return await gateway(
        f"""
        version: 1
        plugins:
          - request-id
          - access-log: {{file: {tmp_path}/access.log}}
          - metrics
        defaults: {{timeouts: {{response: 150ms}}}}
        services:
          good: {{upstream: "{upstream.url}", public: true}}
          refused: {{upstream: "http://127.0.0.1:{unused_port()}", public: true}}
          reset: {{upstream: "{reset.url}", public: true}}
          invalid: {{upstream: "{invalid.url}", public: true}}
          slow: {{upstream: "{slow.url}", public: true}}
          unresolved: {{upstream: "http://no-such-name.invalid", public: true}}
          small: {{upstream: "{upstream.url}", public: true, limits: {{request_body: 1KiB}}}}
          only:
            upstream: {upstream.url}
            public: true
            routes:
              - {{match: {{path: /x, method: GET}}}}
        routes:
          - {{match: {{path: /posts, method: POST}}, upstream: "{upstream.url}", public: true}}
        """
    )


async def logged(tmp_path: Path, count: int) -> list[dict[str, Any]]:
    """Return the lines of the access log once there are `count`."""
    path = tmp_path / "access.log"
    async with asyncio.timeout(3):
        while True:
            text = await asyncio.to_thread(path.read_text) if path.exists() else ""
            if text.count("\n") >= count:
                return [json.loads(line) for line in text.splitlines()]
            await asyncio.sleep(0.02)


FAILURES = [
    ("GET /nothing/here", 404, "no_route", None),
    ("GET /api/brain/good/../x", 400, "bad_path", None),
    ("GET /posts", 405, "method_not_allowed", None),
    ("TRACE /api/brain/good/x", 405, "method_refused", None),
    ("GET /api/brain/refused/x", 502, "upstream_connect_refused", "refused"),
    ("GET /api/brain/reset/x", 502, "upstream_reset_before_headers", "reset"),
    ("GET /api/brain/invalid/x", 502, "upstream_invalid_response", "invalid"),
    ("GET /api/brain/slow/x", 504, "upstream_response_timeout", "slow"),
    ("GET /api/brain/unresolved/x", 502, "upstream_unresolved", "unresolved"),
    ("POST /api/brain/small/x", 413, "body_too_large", "small"),
]


def check_problem(reply: Reply, status: int, code: str, service: str | None) -> dict[str, Any]:
    problem = json.loads(reply.body)
    assert problem.keys() == KEYS
    known = CODES[code]
    assert (reply.status, problem["status"], problem["code"]) == (status, status, code)
    assert (problem["service"], problem["retryable"]) == (service, known.retryable)
    assert problem["message"] == problem["detail"] == known.detail
    assert problem["type"].endswith(f":{code}")
    assert reply.header("Content-Type") == "application/problem+json"
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("Content-Length") == str(len(reply.body))
    return dict(problem)


async def test_every_failure_has_one_body_and_one_code_in_body_header_log_and_metric(
    running: Gateway, tmp_path: Path
) -> None:
    for line, status, code, service in FAILURES:
        method, path = line.split(" ")
        body = b"x" * 2000 if method == "POST" else b""
        reply = await running.get(path, "X-Secret: s3cr3t", method=method, body=body)
        problem = check_problem(reply, status, code, service)
        told = reply.header("Proxy-Status") or ""
        assert re.fullmatch(rf'brain(; error=[a-z_]+)?; details="{code}"', told)
        assert problem["request_id"] == reply.header("X-Request-Id") != ""
        assert b"127.0.0.1" not in reply.body + reply.raw_head
        assert b"s3cr3t" not in reply.body + reply.raw_head
        assert b"Error(" not in reply.body
        assert b"Traceback" not in reply.body
    lines = await logged(tmp_path, len(FAILURES))
    assert [(one["status"], one["code"]) for one in lines] == [
        (status, code) for _, status, code, _ in FAILURES
    ]
    page = (await running.admin("/metrics")).body.decode()
    for _, _, code, service in FAILURES:
        labels = [line for line in page.splitlines() if f'code="{code}"' in line]
        assert labels, code
        assert any(f'service="{service or ""}' in line for line in labels)


async def test_no_route_names_the_nearest_one_in_the_log_and_not_in_the_body(
    running: Gateway, tmp_path: Path
) -> None:
    reply = await running.get("/api/brain/godo/x")
    check_problem(reply, 404, "no_route", None)
    assert b"good" not in reply.body + reply.raw_head
    (line,) = await logged(tmp_path, 1)
    assert line["note"] == "nearest route: good"


async def test_an_upstreams_own_error_is_relayed_as_it_is(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    for status in (404, 500, 502, 503, 504):
        upstream.answer = f"HTTP/1.1 {status} Theirs\r\nContent-Length: 5\r\n\r\ntheir".encode()
        reply = await running.get("/api/brain/good/x")
        assert (reply.status, reply.reason, reply.body) == (status, "Theirs", b"their")
        assert reply.header("Proxy-Status") is None


async def test_a_client_that_leaves_is_499_in_the_log(running: Gateway, tmp_path: Path) -> None:
    client = await running.client()
    client.send(b"GET /api/brain/slow/x HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(0.05)
    client.close()
    (line,) = await logged(tmp_path, 1)
    assert (line["status"], line["code"], line["side"]) == (499, "client_left", "client")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /<script>alert(1)</script>/%0d%0aX HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: <script>\r\n\r\n",
        b"<script> /x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\n<script>\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: <script>\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: <script>\r\nConnection: upgrade\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: <script>\r\n\r\n",
    ],
)
async def test_nothing_that_the_client_sent_is_echoed(running: Gateway, raw: bytes) -> None:
    reply = await running.ask(raw)
    assert reply.status in (400, 404, 417)
    assert b"script" not in reply.body + reply.raw_head
    assert json.loads(reply.body)["code"] in CODES


async def test_bytes_above_ascii_are_escaped_in_the_log_and_break_no_line(
    running: Gateway, tmp_path: Path
) -> None:
    for path in ("/%ff%fe", "/%c2%85x", "/%e2%80%ae", "/%22%7d%2c"):
        await running.get(path)
    lines = await logged(tmp_path, 4)
    assert len(lines) == 4
    raw = (tmp_path / "access.log").read_bytes()
    assert not {0xFF, 0xFE} & set(raw)
    assert "\u202e" not in raw.decode()
    assert "\x85" not in raw.decode()


async def test_metrics_are_labelled_by_what_the_file_names_and_never_by_what_clients_send(
    running: Gateway,
) -> None:
    for number in range(20):
        await running.get(f"/api/brain/good/{number}?tenant={number}", f"X-Tenant-Id: t{number}")
        await running.get(f"/unknown/{number}")
        await running.ask(b"PROPFIND /api/brain/good/x HTTP/1.1\r\nHost: h%d\r\n\r\n" % number)
        await running.ask(b"BREW%d /x HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    page = (await running.admin("/metrics")).body.decode()
    counted = [line for line in page.splitlines() if line.startswith("brain_requests_total{")]
    seen: dict[str, set[str]] = {}
    for line in counted:
        for label, value in re.findall(r'([a-z_]+)="([^"]*)"', line):
            seen.setdefault(label, set()).add(value)
    assert seen.keys() == {"route", "service", "method", "status_class", "code"}
    assert seen["route"] == {"good", "-"}
    assert seen["service"] == {"good", ""}
    assert seen["method"] <= {"GET", "other", "-", "OTHER"}
    assert seen["status_class"] == {"2xx", "4xx"}
    assert seen["code"] == {"", "no_route", "bad_request"}
