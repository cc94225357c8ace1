"""respond on a real gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request

KEY = "0123456789abcdef0123456789abcdef"
KEYS = f"{{name: ci, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}"
TRUSTED = 'gateway: {trusted_proxies: ["127.0.0.1/32"]}'


async def test_a_route_of_its_own_gives_a_file_and_says_who_has_it_already(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    page = tmp_path / "security.txt"
    page.write_text("Contact: mailto:security@example.com\n")
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        routes:
          - match: {{path: /.well-known/security.txt}}
            upstream: service/echo
            public: true
            plugins: [{{respond: {{file: "{page}"}}}}]
        """
    )
    target = "/.well-known/security.txt"
    reply = await running.get(target)
    assert (reply.status, reply.body) == (200, page.read_bytes())
    assert reply.all("Content-Type") == ["text/plain; charset=utf-8"]
    etag = reply.header("ETag") or ""
    again = await running.ask(request(target, f"If-None-Match: {etag}"))
    assert (again.status, again.header("ETag")) == (304, etag)
    assert again.header("Content-Length") is None
    client = await running.client()
    client.send(request(target, method="HEAD") + request(target, f"If-None-Match: {etag}"))
    client.send(request(target))
    head = await client.reply(head_only=True)
    assert (head.status, head.header("Content-Length")) == (200, str(len(reply.body)))
    assert (await client.reply()).status == 304
    assert (await client.reply()).body == reply.body
    assert upstream.seen == []


async def test_a_reload_reads_the_file_again_and_a_bad_file_keeps_the_old_page(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text("one")
    running = await gateway(
        f"""
        version: 1
        services:
          echo:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{respond: {{file: "{page}"}}}}]
        """
    )
    first = await running.get("/api/brain/echo/")
    page.write_text("two")
    assert (await running.get("/api/brain/echo/")).body == b"one"
    assert await running.reload() is None
    second = await running.get("/api/brain/echo/")
    assert second.body == b"two"
    assert first.header("ETag") != second.header("ETag")
    page.unlink()
    assert "can't be read: No such file" in str(await running.reload())
    assert (await running.get("/api/brain/echo/")).body == b"two"


async def maintained(gateway: MakeGateway, upstream: RecordingUpstream, more: str) -> Gateway:
    digest = hashlib.sha256(b"let-me-in").hexdigest()
    return await gateway(
        f"""
        version: 1
        {TRUSTED}
        plugins:
          - api-key: {{keys: [{KEYS}]}}
          - respond:
              status: 503
              body: back soon
              headers: {{Retry-After: "600", Cache-Control: no-store}}
              allow: [198.51.100.0/24]
              allow_header: {{name: X-Preview, sha256: {digest}}}
              {more}
        services:
          echo: {{upstream: "{upstream.url}"}}
        """
    )


async def test_a_maintenance_page_answers_all_but_those_who_may_pass(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await maintained(gateway, upstream, "anonymous: true")
    for path in ("/api/brain/echo/x", "/nowhere"):
        reply = await running.get(path, "X-Forwarded-For: 203.0.113.7")
        assert (reply.status, reply.body) == (503, b"back soon")
        assert reply.header("Retry-After") == "600"
    assert upstream.seen == []
    key = f"X-Api-Key: {KEY}"
    near = "X-Forwarded-For: 198.51.100.7"
    assert (await running.get("/api/brain/echo/x", near, key)).status == 200
    assert (await running.get("/api/brain/echo/x", near)).status == 401, "they are asked who calls"
    preview = "X-Preview: let-me-in"
    assert (await running.get("/api/brain/echo/x", preview, key)).status == 200
    assert upstream.last.header("X-Preview") is None, "the value is nobody else's business"
    assert (await running.get("/api/brain/echo/x", "X-Preview: no", key)).status == 503


async def test_by_default_a_stranger_learns_nothing(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await maintained(gateway, upstream, "anonymous: false")
    assert (await running.get("/api/brain/echo/x")).status == 401
    assert (await running.get("/api/brain/echo/x", f"X-Api-Key: {KEY}")).status == 503


async def test_a_value_is_sent_as_json_and_an_upload_is_not_waited_for(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{respond: {{json: {{status: ok, checks: [1, 2.5, null, true]}}}}}}]
        """
    )
    reply = await running.get("/api/brain/echo/health")
    assert reply.header("Content-Type") == "application/json"
    assert json.loads(reply.body) == {"status": "ok", "checks": [1, 2.5, None, True]}
    client = await running.client()
    client.send(request("/api/brain/echo/x", "Content-Length: 1000000", method="POST"))
    async with asyncio.timeout(2):
        assert (await client.reply()).status == 200
    assert upstream.seen == []


@pytest.mark.parametrize(
    "options",
    [
        "{status: 100}",
        "{status: 600}",
        "{body: x, json: {}}",
        "{file: /nowhere/at/all.txt}",
        '{headers: {Content-Length: "5"}}',
        "{allow: [10.0.0.1/8]}",
        "{allow_header: {name: X-Preview, sha256: let-me-in}}",
    ],
)
async def test_an_answer_that_can_be_none_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream, options: str
) -> None:
    from proxy.errors import ConfigError

    with pytest.raises((InvalidConfig, ConfigError)):
        await gateway(
            f"""
            version: 1
            services:
              echo:
                upstream: "{upstream.url}"
                public: true
                plugins: [{{respond: {options}}}]
            """
        )
