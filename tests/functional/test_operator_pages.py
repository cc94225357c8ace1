"""/health, /ready, /metrics and /config: on the admin listener, and in public for whom it is exposed."""

from __future__ import annotations

import asyncio
import json
import re
import socket

import pytest

from proxy.runtime import probing
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream


def plain(url: str, gateway: str = "{}") -> str:
    return f"""
        version: 1
        gateway: {gateway}
        plugins: [metrics]
        services:
          echo: {{upstream: "{url}", public: true}}
        """


async def test_the_pages_answer_on_the_admin_listener(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(plain(upstream.url))
    health = await running.admin("/health")
    assert (health.status, json.loads(health.body)) == (200, {"status": "ok"})
    ready = await running.admin("/ready")
    assert (ready.status, json.loads(ready.body)["status"]) == (200, "ok")
    metrics = await running.admin("/metrics")
    assert metrics.status == 200
    assert b"\n# TYPE" in b"\n" + metrics.body
    assert (
        metrics.header(
            "Content-Type",
        )
        is not None
    )
    assert (await running.admin("/reload")).status == 404, "reads only"


async def test_the_configuration_is_shown_as_written_without_values(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        """
        version: 1
        services:
          echo: {upstream: "${ECHO_URL}", public: true}
        """,
        ECHO_URL=f"{upstream.url}/hidden",
    )
    page = await running.admin("/config")
    assert page.status == 200
    assert b"${ECHO_URL}" in page.body
    assert b"hidden" not in page.body


async def test_the_configuration_has_defaults_and_no_credentials(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        defaults: {{timeouts: {{response: 7s}}}}
        plugins:
          - headers: {{request: {{set: {{Authorization: "Bearer literal", X-Plain: seen}}}}}}
          - api-key: {{keys: [{{name: portal, sha256: "${{DIGEST:-{"0" * 64}}}"}}]}}
        services:
          echo: {{upstream: "{upstream.url}", host: "${{NAME}}"}}
        """,
        NAME="expanded.example",
    )
    shown = json.loads((await running.admin("/config")).body)
    effective = shown["effective"]
    assert effective["defaults"]["timeouts"]["response"] == "7s"
    assert effective["defaults"]["timeouts"]["connect"] == "2s"
    assert (
        effective["defaults"]["retry"] | {"attempts": 2, "budget": "20%"}
        == effective["defaults"]["retry"]
    )
    assert effective["gateway"]["shutdown"] == {"grace": "0s", "drain": "2s"}
    assert effective["gateway"]["base_path"] == "/api/brain"
    assert effective["gateway"]["limits"]["connections"] == 4096
    assert effective["log"] == {"format": "json", "level": "info"}
    assert effective["services"]["echo"]["host"] == "${NAME}"
    headers, keys = effective["plugins"]
    assert headers["headers"]["request"]["set"] == {"Authorization": "********", "X-Plain": "seen"}
    assert keys["api-key"]["keys"][0]["sha256"] == "${DIGEST:-********}"


async def test_an_unknown_page_is_answered_with_the_known_ones(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(plain(upstream.url))
    reply = await running.admin("/helth")
    assert reply.status == 404
    assert json.loads(reply.body)["pages"] == ["/health", "/ready", "/metrics", "/config"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example.com", 403),
        ("evil.example.com:9901", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost", 200),
        ("localhost:9901", 200),
        ("127.0.0.1:9901", 200),
        ("[::1]:9901", 200),
        ("gateway", 200),
    ],
)
async def test_the_admin_listener_refuses_a_foreign_host(
    gateway: MakeGateway, upstream: RecordingUpstream, host: str, status: int
) -> None:
    running = await gateway(plain(upstream.url))
    reply = await running.admin("/config", host)
    assert reply.status == status
    if status == 403:
        problem = json.loads(reply.body)
        assert (problem["code"], problem["status"]) == ("host_refused", 403)
        assert b"example" not in reply.body


@pytest.mark.parametrize(
    ("rule", "client", "status"),
    [
        ("any", "8.8.8.8", 200),
        ("private", "8.8.8.8", 404),
        ("private", "10.1.2.3", 200),
        ("private", "127.0.0.1", 200),
        ("[192.0.2.0/24]", "192.0.2.9", 200),
        ("[192.0.2.0/24]", "10.1.2.3", 404),
    ],
)
async def test_an_exposed_page_asks_for_the_real_client(
    gateway: MakeGateway, upstream: RecordingUpstream, rule: str, client: str, status: int
) -> None:
    settings = f"{{trusted_proxies: [127.0.0.1], expose: {{health: {rule}}}}}"
    running = await gateway(plain(upstream.url, settings))
    reply = await running.get("/health", f"X-Forwarded-For: {client}")
    assert reply.status == status
    assert (await running.get("/metrics")).status == 404, "only what is named"


async def test_who_is_not_trusted_can_not_claim_an_address(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(plain(upstream.url, "{expose: {health: [192.0.2.0/24]}}"))
    assert (await running.get("/health", "X-Forwarded-For: 192.0.2.9")).status == 404


async def test_what_is_exposed_follows_a_reload_and_only_a_good_one(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(plain(upstream.url, "{expose: {health: any}}"))
    good = running.path.read_text()
    running.path.write_text(good.replace("health", "ready") + "        nonsense: 1\n")
    assert await running.reload() is not None
    assert (await running.get("/ready")).status == 404
    running.path.write_text(good.replace("health", "ready"))
    assert await running.reload() is None
    assert ((await running.get("/ready")).status, (await running.get("/health")).status) == (
        200,
        404,
    )


async def test_it_starts_with_its_upstreams_down_and_says_so(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{sock.getsockname()[1]}"
    running = await gateway(
        f"""
        version: 1
        services:
          down: {{upstream: "{dead}", public: true}}
          half: {{upstream: {{targets: ["{dead}", "{upstream.url}"]}}, public: true}}
          up: {{upstream: "{upstream.url}", public: true}}
        """,
        probe=True,
    )
    await asyncio.sleep(0.1)
    assert (await running.get("/api/brain/up/")).status == 200
    ready = await running.admin("/ready")
    shown = json.loads(ready.body)
    assert (ready.status, shown["status"]) == (200, "degraded")
    told = shown["checks"]["upstream down"]
    assert re.fullmatch(r"upstream_connect_refused \(for \d+ s, tried \d+ s ago\)", told)
    assert "upstream up" not in shown["checks"]
    assert "upstream half" not in shown["checks"], "one of its targets can be reached"


async def test_an_upstream_that_is_back_is_seen_without_a_request(
    gateway: MakeGateway, upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "SOON", 0.05)
    await upstream.close()
    running = await gateway(plain(upstream.url), probe=True)
    assert (await running.get("/api/brain/echo/")).status == 502
    ready = json.loads((await running.admin("/ready")).body)
    assert ready["status"] == "degraded"
    back = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", upstream.port)
    async with asyncio.timeout(2), back:
        while json.loads((await running.admin("/ready")).body)["status"] != "ok":
            await asyncio.sleep(0.02)


async def test_ready_is_503_for_a_check_that_is_required_and_while_draining(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        """
        version: 1
        gateway: {ready_requires: [down]}
        services:
          down: {upstream: "http://127.0.0.1:1", public: true}
        """
    )
    assert (await running.admin("/ready")).status == 200, "nothing was tried yet"
    await running.get("/api/brain/down/")
    failing = await running.admin("/ready")
    assert (failing.status, json.loads(failing.body)["status"]) == (503, "failing")
    running.host.gateway.draining = True
    assert json.loads((await running.admin("/ready")).body)["status"] == "draining"
    assert (await running.admin("/health")).status == 200
