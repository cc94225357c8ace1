"""cors on a real gateway: what pages of other sites try, and who may read what."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from proxy import Answer, Handler, Problem
from proxy.config.load import InvalidConfig
from tests.functional.cachekit import made_of, status_of
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Reply, Script
from tests.functional.plugins_for_tests import HERE, Behaviour

APP = "https://app.example.com"
SHOP = "https://shop.example.net"
KEY = "0123456789abcdef0123456789abcdef"
KEYS = f"{{name: ci, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}"
PREFLIGHT = ("Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x-api-key")


def varies(reply: Reply) -> bool:
    names = [name.strip().lower() for value in reply.all("Vary") for name in value.split(",")]
    assert names.count("origin") <= 1
    return "origin" in names


def granted(reply: Reply) -> dict[str, str]:
    """Return what the answer grants a page, each name once."""
    found = [(n.lower(), v) for n, v in reply.fields if n.lower().startswith("access-control-")]
    assert len(found) == len(dict(found))
    return {name.removeprefix("access-control-"): value for name, value in found}


# -- origins


@pytest.fixture
async def listed(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\naccess-control-allow-credentials: true"
        b"\r\nAccess-Control-Allow-Private-Network: true\r\nContent-Length: 2\r\n\r\nok"
    )
    return await gateway(
        f"""
        version: 1
        plugins:
          - cors: {{origins: ["{APP}", "https://*.example.org"], credentials: true}}
          - api-key: {{keys: [{KEYS}]}}
        services:
          echo: {{upstream: "{upstream.url}"}}
        """
    )


ALLOWED = [APP, "https://a.example.org", "https://a.b-c.example.org"]
REFUSED = [
    # The origin of sandboxed pages, data: URLs and files, which anybody can have.
    "null",
    # Another scheme, port or spelling is another origin (RFC 6454, 4).
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com:443",
    "https://APP.example.com",
    "HTTPS://app.example.com",
    "https://app.example.com.",
    "https://app.example.com/",
    # Names that begin or end like one that is listed.
    "https://example.com",
    "https://x.app.example.com",
    "https://app.example.com.evil.example",
    "https://app-example.com",
    "https://appxexample.com",
    "https://evilapp.example.com",
    "https://example.org",
    "https://evilexample.org",
    "https://.example.org",
    "https://a..example.org",
    "https://*.example.org",
    "https://a.example.org.evil.example",
    "http://a.example.org",
    # What a sloppy comparison would read past.
    "https://evil.example/.example.org",
    "https://evil.example?.example.org",
    "https://evil.example#.example.org",
    "https://evil.example\\.example.org",
    "https://a.example.org@evil.example",
    "https://user@evil.example:80.example.org",
    f"https://evil.example {APP}",
    f"{APP} https://evil.example",
    f"{APP}, https://evil.example",
    "https://\xd0\xb0pp.example.com",
    "*",
    "",
]


@pytest.mark.parametrize("origin", ALLOWED)
async def test_a_listed_origin_may_call_and_read_everything(listed: Gateway, origin: str) -> None:
    for target, more, status in [
        ("/api/brain/echo/x", [f"X-Api-Key: {KEY}"], 200),
        ("/api/brain/echo/x", [], 401),
        ("/api/brain/echo/x", ["X-Api-Key: wrong"], 401),
        ("/nowhere", [], 404),
        ("/api/brain/echo/../x", [], 400),
    ]:
        reply = await listed.get(target, f"Origin: {origin}", *more)
        told = granted(reply)
        assert reply.status == status
        assert (told["allow-origin"], told["allow-credentials"]) == (origin, "true")
        assert {"X-Request-Id", "Retry-After", "WWW-Authenticate", "Proxy-Status"} <= {
            name.strip() for name in told["expose-headers"].split(",")
        }
        assert "allow-private-network" not in told
        assert varies(reply)
    reply = await listed.get("/api/brain/echo/x", f"Origin: {origin}", *PREFLIGHT, method="OPTIONS")
    assert (reply.status, granted(reply)["allow-origin"]) == (204, origin)
    assert varies(reply)


@pytest.mark.parametrize("origin", REFUSED)
async def test_any_other_origin_is_granted_nothing(
    listed: Gateway, upstream: RecordingUpstream, origin: str
) -> None:
    for target, more in [
        ("/api/brain/echo/x", [f"X-Api-Key: {KEY}"]),
        ("/api/brain/echo/x", []),
        ("/nowhere", []),
    ]:
        reply = await listed.get(target, f"Origin: {origin}", *more)
        assert granted(reply) == {}
        assert varies(reply)
    reply = await listed.get("/api/brain/echo/x", f"Origin: {origin}", *PREFLIGHT, method="OPTIONS")
    assert (reply.status, json.loads(reply.body)["code"]) == (403, "origin_refused")
    assert granted(reply) == {}
    assert varies(reply)
    assert len(upstream.seen) == 1, "the call with its key alone"


async def test_an_answer_to_nobodys_page_says_that_it_varies(listed: Gateway) -> None:
    for target, more in [("/api/brain/echo/x", [f"X-Api-Key: {KEY}"]), ("/nowhere", [])]:
        reply = await listed.get(target, *more)
        assert granted(reply) == {}
        assert varies(reply)


@pytest.mark.parametrize("origins", ['["*"]', '["https://app.example.com", "null"]'])
async def test_every_site_with_credentials_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream, origins: str
) -> None:
    with pytest.raises(InvalidConfig, match="visitors' cookies"):
        await gateway(
            f"""
            version: 1
            plugins: [{{cors: {{origins: {origins}, credentials: true}}}}]
            services:
              echo: {{upstream: "{upstream.url}", public: true}}
            """
        )


# -- policies per service


@pytest.fixture
async def several(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins:
          - cors: {{origins: ["{APP}"], credentials: true, expose: [X-Outer]}}
          - api-key: {{keys: [{KEYS}]}}
        services:
          crm: {{upstream: "{upstream.url}"}}
          shop:
            upstream: "{upstream.url}"
            plugins: [{{cors: {{origins: ["{SHOP}"], methods: [GET], expose: [X-Total], max_age: 1m}}}}]
            routes:
              - match: {{path: /feed/*}}
                public: true
                plugins: [{{cors: {{origins: ["*"]}}}}]
          internal:
            upstream: "{upstream.url}"
            skip: [cors]
        """
    )


@pytest.mark.parametrize(
    ("path", "origin", "may"),
    [
        ("crm/x", APP, APP),
        ("crm/x", SHOP, None),
        ("shop/x", SHOP, SHOP),
        ("shop/x", APP, None),
        ("shop/feed/x", SHOP, "*"),
        ("shop/feed/x", "https://any.example", "*"),
        ("shop/feed/x", "null", None),
        ("internal/x", APP, None),
    ],
)
async def test_a_services_own_policy_replaces_the_outer_one_whole(
    several: Gateway, path: str, origin: str, may: str | None
) -> None:
    target = f"/api/brain/{path}"
    for more in ([f"X-Api-Key: {KEY}"], [], ["X-Api-Key: wrong"]):
        told = granted(await several.get(target, f"Origin: {origin}", *more))
        assert told.get("allow-origin") == may
        if may in (SHOP, "*"):
            assert "allow-credentials" not in told
            assert ("X-Total" in told["expose-headers"]) == (may == SHOP)
            assert "X-Outer" not in told["expose-headers"]
    reply = await several.get(target, f"Origin: {origin}", *PREFLIGHT, method="OPTIONS")
    told = granted(reply)
    assert told.get("allow-origin") == may
    if may is not None:
        assert reply.status == 204
        assert told["max-age"] == ("60" if may == SHOP else "600")
        assert told.get("allow-credentials") == ("true" if may == APP else None)


async def test_a_preflight_is_judged_by_the_policy_of_the_route_that_it_asks_for(
    several: Gateway,
) -> None:
    asked = (f"Origin: {SHOP}", "Access-Control-Request-Method: DELETE")
    reply = await several.get("/api/brain/shop/x", *asked, method="OPTIONS")
    assert (reply.status, granted(reply)) == (403, {})
    reply = await several.get("/api/brain/shop/feed/x", *asked, method="OPTIONS")
    assert (reply.status, granted(reply)["allow-origin"]) == (204, "*")


# -- errors


async def test_a_page_may_read_every_refusal_of_the_gateway(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    raw_upstream: Callable[[Script], Awaitable[RawUpstream]],
    behave: Callable[[Behaviour], Behaviour],
) -> None:
    @behave
    async def limited(request: web.BaseRequest, handler: Handler) -> Answer:
        raise Problem(429, "upstream_saturated", "Too many.", headers={"Retry-After": "7"})

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    broken, hangs = await raw_upstream(b"junk\r\n\r\n"), await raw_upstream(hang)
    running = await gateway(
        f"""
        version: 1
        plugins: [{{cors: {{origins: ["{APP}"], credentials: true}}}}]
        defaults: {{timeouts: {{response: 100ms}}, retry: {{attempts: 1}}}}
        services:
          refused: {{upstream: "http://127.0.0.1:1", public: true}}
          broken: {{upstream: "{broken.url}", public: true}}
          hangs: {{upstream: "{hangs.url}", public: true}}
          small: {{upstream: "{upstream.url}", public: true, limits: {{request_body: 1B}}}}
          limited:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{use: "{HERE}:Behave", with: {{do: limited, stage: GUARD}}, as: limited}}]
          closed:
            upstream: "{upstream.url}"
            plugins: [{{api-key: {{keys: [{KEYS}]}}}}]
            routes:
              - match: {{method: GET, path: /*}}
        """
    )
    for target, method, status in [
        ("/api/brain/refused/x", "GET", 502),
        ("/api/brain/broken/x", "GET", 502),
        ("/api/brain/hangs/x", "GET", 504),
        ("/api/brain/small/x", "POST", 413),
        ("/api/brain/limited/x", "GET", 429),
        ("/api/brain/closed/x", "GET", 401),
        ("/nowhere", "GET", 404),
    ]:
        body = b"too much" if method == "POST" else b""
        reply = await running.get(target, f"Origin: {APP}", method=method, body=body)
        assert reply.status == status, target
        assert granted(reply)["allow-origin"] == APP
        assert granted(reply)["allow-credentials"] == "true"
        assert varies(reply)


# -- caches


async def test_what_a_cache_gives_is_marked_for_the_page_that_gets_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins:
          - cors: {{origins: ["{APP}", "{SHOP}"], credentials: true}}
          - cache: {{}}
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    upstream.answer = made_of(
        b"stored", "Cache-Control: max-age=60", 'ETag: "v1"', "Access-Control-Allow-Origin: *"
    )
    first = await running.get("/api/brain/echo/x", f"Origin: {APP}")
    assert granted(first)["allow-origin"] == APP
    for origin, may in [(SHOP, SHOP), (APP, APP), ("https://evil.example", None), (None, None)]:
        sent = [] if origin is None else [f"Origin: {origin}"]
        for more, status in ([], 200), (['If-None-Match: "v1"'], 304):
            reply = await running.get("/api/brain/echo/x", *sent, *more)
            assert status_of(reply).startswith("hit")
            assert reply.status == status
            assert granted(reply).get("allow-origin") == may
            assert varies(reply)
    assert len(upstream.seen) == 1


async def test_a_304_of_the_upstream_is_marked_too(
    listed: Gateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = (
        b'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\nAccess-Control-Allow-Origin: *\r\n\r\n'
    )
    for origin, may in [(APP, APP), ("https://evil.example", None)]:
        sent = (f"Origin: {origin}", f"X-Api-Key: {KEY}", 'If-None-Match: "v"')
        reply = await listed.get("/api/brain/echo/x", *sent)
        assert reply.status == 304
        assert granted(reply).get("allow-origin") == may
        assert varies(reply)
