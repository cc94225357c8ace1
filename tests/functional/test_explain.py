"""What `brain explain` says of a request is what an upstream really gets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from proxy.admin.exposed import readers
from proxy.explaining.explain import explain
from proxy.explaining.facts import Explanation
from proxy.headers import encode
from tests.explaining.kit import files_of, question_of
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream
from tests.functional.plugins_for_tests import HERE


async def told(running: Gateway, asked: str, *headers: str, **more: Any) -> Explanation:
    files = await asyncio.to_thread(files_of, running.path)
    question = question_of(asked, "Host: gateway.test", *headers, **more)
    return (await explain(files, question, readers(files.config.gateway)))[0]


def wire(text: str) -> str:
    """Text as the recording upstream reads it."""
    return encode(text).decode("latin-1").strip()


def fields(found: Explanation) -> list[tuple[str, str]]:
    assert found.outgoing is not None
    host = found.outgoing.aims[0].host
    own = [(one.name, wire(one.value)) for one in found.outgoing.sent]
    return [("Host", host), *own]


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    url = upstream.url
    return await gateway(
        f"""
        version: 1
        gateway: {{trusted_proxies: ["127.0.0.1"]}}
        services:
          plain: {{upstream: "{url}/base", public: true, aliases: [other, /whole/prefix]}}
          kept:
            upstream: {url}
            public: true
            strip: false
            host: preserve
            via: true
            allow_encoded_slash: true
            allow_underscore_headers: true
            forward_cookies: [taste]
            routes:
              - match: {{path: "/{{id}}/part/*"}}
                rewrite: "/r/${{request.path.id}}/${{request.query.q}}/"
          closed:
            upstream: {url}
            websocket: false
        routes:
          - {{match: {{path: /graphql, method: POST}}, upstream: service/plain, rewrite: /g/}}
        plugins:
          - {{use: "{HERE}:Token", as: token, with: {{header: X-Token}}}}
        fallback: {{upstream: "{url}", public: true, forward_cookies: none}}
        """
    )


MIXED = [
    "Accept: */*",
    "accept: text/plain",
    "X-Empty:",
    "X-Raw: \u00fc",
    "Connection: X-Named, close",
    "X-Named: 1",
    "Keep-Alive: 5",
    "X-User-Id: root",
    "X-Forwarded-Port: 1",
    "X_Custom: 1",
    "Cookie: taste=sweet; session=1",
    "Authorization: Bearer x",
    "X-Brain-Hops: 3",
]
REQUESTS = [
    ("GET /api/brain/plain/a%2Cb/?q=%zz&q", MIXED),
    ("GET /api/brain/plain", []),
    ("GET /api/brain/other/x", ["TE: trailers", "Connection: TE"]),
    ("HEAD /whole/prefix/a/b?", []),
    ("DELETE /api/brain/plain/x", MIXED),
    ("POST /api/brain/plain/x", []),
    ("GET /api/brain/%70lain/x", []),
    ("GET /api/brain/kept/a%2fb", MIXED),
    ("GET /api/brain/kept/a%20b/part/c/d?q=1/2&x", MIXED),
    (
        "GET /api/brain/plain/x",
        [
            "X-Forwarded-For: 6.6.6.6, 203.0.113.9",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: shop.example:8443",
            "X-Forwarded-Prefix: /edge",
        ],
    ),
    ("GET /not/here?x=1", MIXED),
    ("OPTIONS /api/brain/plain/x", ["Origin: https://a", "Access-Control-Request-Method: PUT"]),
    ("POST /graphql?x", ["X-Token: good"]),
    ("GET /api/brain/closed/x", ["X-Token: good"]),
]


@pytest.mark.parametrize(("asked", "headers"), REQUESTS, ids=[asked for asked, _ in REQUESTS])
async def test_an_upstream_gets_what_was_explained(
    running: Gateway, upstream: RecordingUpstream, asked: str, headers: list[str]
) -> None:
    claims = {"sub": "by X-Token", "tenant": "acme"}
    found = await told(running, asked, *headers, claims=claims)
    method, target = asked.split(" ")
    sent = [encode(header).decode("latin-1") for header in headers]
    await running.get(target, *sent, method=method)
    assert found.outgoing is not None
    line = f"{found.outgoing.method} {wire(found.outgoing.target)} HTTP/1.1"
    assert (line, fields(found)) == (upstream.last.line, upstream.last.fields)
    assert found.answer is None


async def test_bodies_are_framed_as_explained(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    asked = "PUT /api/brain/plain/x"
    for header, body in (
        ("Content-Length: 5", b"hello"),
        ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    ):
        found = await told(running, asked, header)
        head = f"{asked} HTTP/1.1\r\nHost: gateway.test\r\n{header}\r\n\r\n"
        await running.ask(head.encode() + body)
        assert (upstream.last.body, fields(found)) == (b"hello", upstream.last.fields)


async def test_a_websockets_handshake_is_as_explained(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    headers = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    found = await told(running, "GET /api/brain/plain/ws", *headers)
    await running.get("/api/brain/plain/ws", *headers)
    assert fields(found) == upstream.last.fields


async def test_a_rewrite_by_the_caller_is_as_explained(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          crm:
            upstream: {upstream.url}/base
            plugins: [{{use: "{HERE}:Token", as: token, with: {{header: X-Token}}}}]
            routes:
              - match: {{path: "/own/*"}}
                rewrite: "/t/${{principal.tenant}}/${{principal.subject}}/"
        """
    )
    claims = {"sub": "by X-Token", "tenant": "acme"}
    found = await told(running, "GET /api/brain/crm/own/x?y", "X-Token: good", claims=claims)
    await running.get("/api/brain/crm/own/x?y", "X-Token: good")
    assert found.outgoing is not None
    assert found.outgoing.target == upstream.last.target == "/base/t/acme/by%20X%2DToken/x?y"


REFUSED = [
    ("GET /api/brain/plain/%2e%2e/x", []),
    ("GET /api/brain/plain/a%2fb", []),
    ("GET /api/brain/plain/x?a#b", []),
    ("GET /graphql", []),
    ("TRACE /", []),
    ("GET /api/brain/plain/x", ["X-Brain-Hops: 99"]),
    ("GET /api/brain/closed/x", []),
    ("GET /api/brain/kept/a/part/x", []),
    ("GET /api/brain/plain/x", ["Content-Length: 5", "Expect: wonders"]),
    ("GET /api/brain/plain/x", ["Content-Length: 99999999999"]),
    ("GET /api/brain/plain/x", ["Connection: Upgrade", "Upgrade: h2c"]),
]


@pytest.mark.parametrize(("asked", "headers"), REFUSED, ids=[f"{a} {h}" for a, h in REFUSED])
async def test_a_refusal_is_the_one_that_was_explained(
    running: Gateway, upstream: RecordingUpstream, asked: str, headers: list[str]
) -> None:
    found = await told(running, asked, *headers)
    method, target = asked.split(" ")
    reply = await running.get(target, *headers, method=method)
    assert found.answer is not None
    assert found.answer.status == reply.status
    assert f'details="{found.answer.code}"' in (reply.header("Proxy-Status") or "")
    said: Mapping[str, str] = found.answer.headers
    assert {name: reply.header(name) for name in said} == said
    assert upstream.seen == []


async def test_what_plugins_change_is_what_they_said(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins:
          - request-id
          - headers: {{request: {{set: {{X-Where: "${{service}}"}}, remove: [Accept]}}}}
        services:
          crm: {{upstream: "{upstream.url}", public: true}}
        """
    )
    found = await told(running, "GET /api/brain/crm/x", "Accept: */*", "X-Kept: 1")
    await running.get("/api/brain/crm/x", "Accept: */*", "X-Kept: 1")
    lines = [line for step in found.chain for line in step.lines]
    assert lines == [
        "sets X-Request-Id to a new UUIDv7, to the upstream and on the answer",
        "removes Accept from the request",
        "sets X-Where: crm on the request",
    ]
    changed = set(fields(found)) ^ set(upstream.last.fields)
    assert {name for name, _ in changed} == {"X-Request-Id", "Accept", "X-Where"}
    assert upstream.last.header("X-Where") == "crm"
