"""redirect on a real gateway."""

from __future__ import annotations

import hashlib
import json

import pytest

from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request

KEY = "0123456789abcdef0123456789abcdef"
KEYS = f"{{name: ci, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}"
TRUSTED = 'gateway: {trusted_proxies: ["127.0.0.1/32"]}'


async def redirecting(
    gateway: MakeGateway, upstream: RecordingUpstream, options: str, top: str = ""
) -> Gateway:
    return await gateway(
        f"""
        version: 1
        {top}
        plugins: [{{redirect: {options}}}]
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )


async def test_a_route_leads_to_its_new_place_without_the_upstream(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo:
            upstream: "{upstream.url}"
            plugins: [{{api-key: {{keys: [{KEYS}]}}}}]
            routes:
              - match: {{path: "/articles/{{slug}}"}}
                plugins:
                  - redirect: {{to: "/posts/${{request.path.slug}}", status: 301}}
              - match: {{path: /old/*}}
                plugins:
                  - redirect: {{to: "https://new.example.com/api", prefix: /api/brain/echo/old}}
        """
    )
    reply = await running.get("/api/brain/echo/articles/my-page?x=%27")
    assert (reply.status, reply.header("Location")) == (301, "/posts/my-page?x=%27")
    assert (reply.body, reply.header("Content-Length")) == (b"", "0")
    reply = await running.get("/api/brain/echo/articles/a%0d%0aX:%20y")
    assert reply.status == 400
    reply = await running.get("/api/brain/echo/old/a/%C3%BC?b", method="POST", body=b"data")
    assert (reply.status, reply.header("Location")) == (
        308,
        "https://new.example.com/api/a/%C3%BC?b",
    )
    assert upstream.seen == []


async def test_http_is_led_to_https_with_the_bytes_that_were_asked_for(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await redirecting(gateway, upstream, "{scheme: https}")
    raw = b"GET /api/brain/echo/%FF%zz<b>?q=^|&a=%27 HTTP/1.1\r\nHost: a.example:8080\r\n\r\n"
    reply = await running.ask(raw)
    assert reply.status == 308
    assert (
        reply.header("Location") == "https://a.example/api/brain/echo/%FF%zz%3Cb%3E?q=%5E%7C&a=%27"
    )
    head = await running.get("/api/brain/echo/x", method="HEAD")
    assert head.header("Location") == "https://gateway.test/api/brain/echo/x"
    absolute = await running.ask(
        b"GET http://b.example/api/brain/echo/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n"
    )
    assert absolute.header("Location") == "https://b.example/api/brain/echo/x?y"
    assert upstream.seen == []


async def test_a_trusted_proxy_says_by_which_scheme_host_and_prefix_the_client_came(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await redirecting(gateway, upstream, "{scheme: https}", top=TRUSTED)
    told = ("X-Forwarded-For: 203.0.113.7", "X-Forwarded-Host: app.example.com")
    path = "/api/brain/echo/x"
    passed = await running.get(path, *told, "X-Forwarded-Proto: https")
    assert passed.status == 200
    led = await running.get(path, *told, "X-Forwarded-Proto: http", "X-Forwarded-Prefix: /outer")
    assert led.header("Location") == f"https://app.example.com/outer{path}"


async def test_a_stranger_says_nothing_about_scheme_and_host(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await redirecting(gateway, upstream, "{scheme: https}")
    reply = await running.get(
        "/api/brain/echo/x",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Prefix: /evil",
    )
    assert reply.header("Location") == "https://gateway.test/api/brain/echo/x"


async def test_all_hosts_are_led_to_the_one_that_the_file_names(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await redirecting(gateway, upstream, "{host: gateway.test, status: 302}")
    assert (await running.get("/api/brain/echo/x")).status == 200
    other = await running.ask(b"GET /api/brain/echo/x HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert (other.status, other.header("Location")) == (302, "http://gateway.test/api/brain/echo/x")


async def test_what_has_no_route_is_redirected_and_what_is_ambiguous_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await redirecting(gateway, upstream, "{scheme: https}")
    assert (await running.get("/nowhere")).header("Location") == "https://gateway.test/nowhere"
    for path in ("//evil.example/x", "/a/../b", "/\\evil.example"):
        reply = await running.get(path)
        assert (reply.status, reply.header("Location")) == (400, None)
    whole = await running.ask(b"OPTIONS * HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
    assert whole.status == 204


async def test_a_redirect_to_itself_is_told_instead_of_sent(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await redirecting(gateway, upstream, "{to: /here}")
    assert (await running.get("/there")).header("Location") == "/here"
    reply = await running.get("/here?x=1")
    assert reply.status == 508
    assert json.loads(reply.body)["code"] == "loop_detected"


async def test_a_connection_serves_on_after_a_redirect(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await redirecting(gateway, upstream, "{to: /new, prefix: /old}")
    client = await running.client()
    client.send(request("/old/1") + request("/api/brain/echo/2") + request("/old/3"))
    assert (await client.reply()).header("Location") == "/new/1"
    assert (await client.reply()).body == b"ok"
    assert (await client.reply()).header("Location") == "/new/3"


@pytest.mark.parametrize(
    "options",
    [
        "{to: //evil.example}",
        '{to: "https://${request.header.Host}/"}',
        '{to: "/${principal.tenant}"}',
        '{to: "/${request.path.slug}"}',
        "{to: /x, status: 304}",
        "{to: /x, status: true}",
        "{host: a b}",
        "{}",
    ],
)
async def test_a_redirect_that_could_lead_anywhere_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream, options: str
) -> None:
    with pytest.raises(InvalidConfig):
        await redirecting(gateway, upstream, options)
