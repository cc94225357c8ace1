"""What browsers send by themselves does not act for pages of other sites."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from proxy import Authenticator, Principal
from proxy.cli.socket_client import ask
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply

APP = "https://app.example.com"
OWN = "http://gateway.test"
COOKIE = "Cookie: sid=abc"


def code_of(reply: Reply) -> str:
    code: str = json.loads(reply.body)["code"]
    return code


class CookieCaller(Authenticator):
    """Knows whoever has the cookie `sid`, or the header `X-Sid`, which no browser sends by itself."""

    protects_cookies = frozenset({"sid"})
    protects = frozenset({"x-sid"})

    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        if "X-Sid" in request.headers:
            return Principal("kim")
        return Principal("kim", ambient=True) if "sid" in request.cookies else None


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins:
          - cors: {{origins: ["{APP}", "https://*.example.org"], credentials: true}}
          - {{use: "tests.functional.test_cross_site:CookieCaller"}}
        services:
          echo: "{upstream.url}"
        """
    )


@pytest.mark.parametrize(
    "page",
    [
        f"Origin: {APP}",
        "Origin: https://a.b.example.org",
        f"Origin: {OWN}",
        "Sec-Fetch-Site: same-origin",
    ],
)
async def test_a_page_that_is_trusted_may_act_by_cookie(running: Gateway, page: str) -> None:
    reply = await running.get("/api/brain/echo/", COOKIE, page, method="POST", body=b"x")
    assert reply.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
@pytest.mark.parametrize(
    "page",
    [
        "Accept: */*",
        "Origin: null",
        "Origin: https://evil.example",
        "Origin: https://app.example.com.evil.example",
        "Origin: https://evil.example/.example.org",
        "Origin: http://app.example.com",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: none",
    ],
)
async def test_any_other_page_may_not(
    running: Gateway, upstream: RecordingUpstream, method: str, page: str
) -> None:
    reply = await running.get("/api/brain/echo/", COOKIE, page, method=method, body=b"x")
    assert (reply.status, code_of(reply)) == (403, "csrf_refused")
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("page", "log"),
    [
        ("Accept: */*", "it says no Origin"),
        ("Origin: https://evil.example", "'cors' does not list the origin 'https://evil.example'"),
    ],
)
async def test_the_log_names_the_origin_and_the_answer_does_not(
    running: Gateway, page: str, log: str
) -> None:
    reply = await running.get("/api/brain/echo/", COOKIE, page, method="POST", body=b"x")
    assert code_of(reply) == "csrf_refused"
    assert log.encode() not in reply.body
    control = str(running.host.config.gateway.control)
    _, found = await asyncio.to_thread(ask, control, "GET", "/recent?last=1")
    assert found["exchanges"][0]["blame"]["note"] == log


async def test_an_upgrade_is_held_to_the_same(running: Gateway) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    reply = await running.get("/api/brain/echo/", COOKIE, *upgrade, "Sec-WebSocket-Key: a")
    assert (reply.status, code_of(reply)) == (403, "csrf_refused")


async def test_safe_methods_and_other_credentials_are_not_asked(running: Gateway) -> None:
    evil = "Origin: https://evil.example"
    assert (await running.get("/api/brain/echo/", COOKIE, evil)).status == 200
    reply = await running.get("/api/brain/echo/", "X-Sid: 1", evil, method="POST", body=b"x")
    assert reply.status == 200


async def test_what_no_route_takes_is_told_so_though_a_plugin_around_all_names_the_caller(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins:
          - {{use: "tests.functional.test_cross_site:CookieCaller"}}
          - headers: {{request: {{set: {{X-Who: "${{principal.subject}}"}}}}}}
        services:
          echo: "{upstream.url}"
        """
    )
    reply = await running.get("/nobody", COOKIE)
    assert (reply.status, code_of(reply)) == (404, "no_route")
    await running.get("/api/brain/echo/", COOKIE)
    assert upstream.last.header("X-Who") == "kim"


async def test_an_origin_that_may_send_no_credentials_acts_with_none(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins:
          - cors: {{origins: ["{APP}", "null"]}}
          - {{use: "tests.functional.test_cross_site:CookieCaller"}}
        services: {{echo: "{upstream.url}"}}
        """
    )
    for page in (f"Origin: {APP}", "Origin: null"):
        reply = await running.get("/api/brain/echo/", COOKIE, page, method="POST", body=b"x")
        assert (reply.status, code_of(reply)) == (403, "csrf_refused")
