"""What authenticates callers reaches no upstream: not on its own route, not on any other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from proxy import Authenticator, Principal
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Script, request
from tests.functional.test_websocket_tunnel import HANDSHAKE, SWITCH

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
HERE = "tests.functional.test_credentials_withheld"
ALL = (
    "Authorization: Bearer tok-secret",
    "Cookie: theme=dark; sid=tok-secret; sess_1=tok-secret",
    "Cookie: sess_2=tok-secret",
)
TARGET = "?a=%20&ticket=tok-secret&b"


class AnyToken(Authenticator):
    """Lets everybody in, and owns one credential of each kind."""

    protects_schemes = frozenset({"bearer"})
    protects_cookies = frozenset({"sid", "sess_*"})
    protects_query = frozenset({"ticket"})

    def authenticate(self, request: web.BaseRequest) -> Principal | None:
        return Principal("kim")


class Nobody(Authenticator):
    """Knows everybody too, and owns nothing."""

    def authenticate(self, request: web.BaseRequest) -> Principal | None:
        return Principal("lee")


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins:
          - {{use: "{HERE}:AnyToken"}}
        services:
          own: "{upstream.url}"
          public: {{upstream: "{upstream.url}", public: true}}
          other: {{upstream: "{upstream.url}", plugins: [{{use: "{HERE}:Nobody"}}]}}
          listed: {{upstream: "{upstream.url}", forward_cookies: [sid, theme]}}
          asked: {{upstream: "{upstream.url}", forward_token: true, public: true}}
        fallback: {{upstream: "{upstream.url}", public: true}}
        """
    )


@pytest.mark.parametrize("path", ["own", "public", "other", "listed", "no-service"])
async def test_nothing_of_it_is_sent_on(
    running: Gateway, upstream: RecordingUpstream, path: str
) -> None:
    assert (await running.get(f"/api/brain/{path}/x{TARGET}", *ALL)).status == 200
    seen = upstream.last
    assert b"tok-secret" not in seen.raw_head
    assert seen.target.endswith("x?a=%20&b")
    assert seen.all("Cookie") == ["theme=dark"]


async def test_a_route_that_forwards_tokens_sends_all_as_it_came(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    await running.get(f"/api/brain/asked/x{TARGET}", *ALL)
    assert upstream.last.target == f"/x{TARGET}"
    assert upstream.last.all("Authorization") == ["Bearer tok-secret"]
    assert upstream.last.all("Cookie") == [line.partition(": ")[2] for line in ALL[1:]]


async def test_other_schemes_and_names_pass(running: Gateway, upstream: RecordingUpstream) -> None:
    others = ("Authorization: Token tok-django", "Cookie: Sid=1; asess_1=2")
    await running.get("/api/brain/public/x?Ticket=3&tickets=4", *others)
    assert upstream.last.header("Authorization") == "Token tok-django"
    assert upstream.last.header("Cookie") == "Sid=1; asess_1=2"
    assert upstream.last.target == "/x?Ticket=3&tickets=4"


@pytest.mark.parametrize(
    ("offered", "sent", "selects", "answered"),
    [
        ("brain.bearer, tok", None, b"", ["brain.bearer"]),
        ("brain.bearer, tok, chat", "chat", b"Sec-WebSocket-Protocol: chat\r\n", ["chat"]),
        ("brain.bearer, tok, chat", "chat", b"", ["brain.bearer"]),
        ("chat", "chat", b"", []),
    ],
)
async def test_a_token_among_subprotocols_stays_here(
    gateway: MakeGateway,
    raw_upstream: MakeUpstream,
    offered: str,
    sent: str | None,
    selects: bytes,
    answered: list[str],
) -> None:
    heads: list[str] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(SWITCH[:-2] + selects + b"\r\n")
        await reader.read()

    upstream = await raw_upstream(script)
    running = await gateway(
        f"""
        version: 1
        plugins: [{{use: "{HERE}:Nobody"}}]
        services: {{chat: "{upstream.url}"}}
        """
    )
    client = await running.client()
    name = "Sec-WebSocket-Protocol"
    client.send(request("/api/brain/chat/", *HANDSHAKE, f"{name}: {offered}"))
    reply = await client.head()
    assert (reply.status, reply.all(name)) == (101, answered)
    lines = [line for line in heads[0].split("\r\n") if line.startswith(name)]
    assert lines == ([] if sent is None else [f"{name}: {sent}"])
    client.close()
