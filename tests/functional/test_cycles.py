"""A request leaves no reference cycle behind: collecting them costs 5-10 % CPU and doubles p99."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from proxy import Answer, GatewayError, Handler
from proxy.runtime import retrying
from proxy.server.request import Request
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import Backend
from tests.functional.kit import Gateway, RecordingUpstream, request
from tests.functional.plugins_for_tests import HERE

REQUESTS = 1000

KINDS = {
    "GET": request("/api/brain/echo/x?y=1"),
    "POST": request("/api/brain/echo/x", method="POST", body=b"hello"),
    "chunked": request("/api/brain/echo/x", "Transfer-Encoding: chunked", method="POST")
    + b"5\r\nhello\r\n0\r\n\r\n",
    "no route": request("/nowhere"),
    "refused connection": request("/api/brain/dead/x"),
    "tried again": request("/api/brain/again/x"),
    "tried again with a body": request(
        "/api/brain/again/x", "Transfer-Encoding: chunked", method="PUT"
    )
    + b"5\r\nhello\r\n0\r\n\r\n",
    "tried in vain": request("/api/brain/resets/x"),
    "left alone": request("/api/brain/open/x"),
    "refused caller": request("/api/brain/closed/x"),
    "bug": request("/api/brain/buggy/x"),
    "cached": request("/api/brain/cached/x"),
    "cached anew": request("/api/brain/cached/x", "Cache-Control: no-cache"),
    "split": request("/api/brain/split/x"),
    "mirrored": request("/api/brain/mirrored/x"),
    "mirrored upload": request("/api/brain/mirrored/x", "Transfer-Encoding: chunked", method="POST")
    + b"5\r\nhello\r\n0\r\n\r\n",
    "mirrored in vain": request("/api/brain/vain/x"),
    "preflight": request(
        "/api/brain/echo/x",
        "Origin: https://app.example.com",
        "Access-Control-Request-Method: GET",
        method="OPTIONS",
    ),
}


@pytest.fixture
async def running(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    three: list[Backend],
    tmp_path: Path,
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> Gateway:
    from tests.functional import plugins_for_tests

    async def bug(asked: object, handler: Handler) -> Answer:
        try:
            {}["inner"]
        except KeyError as error:
            raise GatewayError("gateway_failed") from error

    monkeypatch.setitem(plugins_for_tests.BEHAVIOURS, "bug", bug)
    monkeypatch.setattr(retrying, "PAUSE", 0.001)
    resets, busy, well = three
    resets.mode, busy.mode = "reset", "503"
    again = f'["{resets.url}", "{busy.url}", "{well.url}"]'
    return await gateway(
        f"""
        version: 1
        plugins:
          - request-id
          - access-log: {{file: "{tmp_path}/access.log"}}
          - metrics
          - headers: {{response: {{set: {{X-Set: "${{request.query.y}}"}}}}}}
          - cors: {{origins: ["https://app.example.com"]}}
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
          cached:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{cache: {{default_ttl: 60s}}}}]
          dead: {{upstream: "http://127.0.0.1:{unused_tcp_port}", public: true}}
          again:
            upstream: {{targets: {again}, outliers: false, balance: {{sticky: at}}}}
            retry: {{attempts: 3, statuses: [503], floor: 10000}}
            public: true
          resets:
            upstream: {{url: "{resets.url}", breaker: {{failures: 1000}}}}
            retry: {{floor: 10000}}
            public: true
          open:
            upstream: {{url: "{resets.url}", breaker: {{failures: 1, open_for: 10m}}}}
            public: true
          closed:
            upstream: "{upstream.url}"
            plugins: [{{use: "{HERE}:Token", as: token, with: {{header: X-Token}}}}]
          split:
            upstream: "{upstream.url}"
            public: true
            split: [{{upstream: "{upstream.url}/v2", share: 100%}}]
          mirrored:
            upstream: "{upstream.url}"
            public: true
            mirror:
              {{upstream: "{upstream.url}/v2", share: 100%, compare: json, methods: [GET, POST]}}
          vain:
            upstream: "{upstream.url}"
            public: true
            mirror: {{upstream: "http://127.0.0.1:{unused_tcp_port}", share: 100%}}
          buggy:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{use: "{HERE}:Behave", as: bug, with: {{do: bug}}}}]
        """
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_a_thousand_requests_leave_nothing_to_collect(running: Gateway, kind: str) -> None:
    client = await running.client()

    async def ask(times: int) -> None:
        for _ in range(times):
            client.send(KINDS[kind])
            await client.reply()

    await ask(5)
    await asyncio.sleep(0.01)
    gc.collect()
    gc.disable()
    try:
        await ask(REQUESTS if kind in ("GET", "POST") else 100)
        await asyncio.sleep(0)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = [
            each for each in gc.garbage if type(each).__module__.startswith(("proxy", "plugins"))
        ]
        kinds = sorted({type(each).__qualname__ for each in gc.garbage})
        found = len(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not ours, f"in cycles: {kinds}"
    assert found < 50, f"in cycles: {found} of {kinds}"


async def test_an_idle_connection_keeps_nothing_of_its_last_request(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f'version: 1\nservices: {{echo: {{upstream: "{upstream.url}", public: true}}}}'
    )
    gc.collect()
    gc.disable()
    try:
        assert (
            await running.get("/api/brain/echo/x", "Authorization: Bearer secret")
        ).status == 200
        await asyncio.sleep(0.05)
        assert [one for one in gc.get_objects() if isinstance(one, Request)] == []
    finally:
        gc.enable()
