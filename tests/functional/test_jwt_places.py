"""Where a token of jwt may stand on a real gateway, beside what else a route asks for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Reply, Script, request
from tests.functional.test_websocket_tunnel import HANDSHAKE, SWITCH
from tests.plugins.tokens import ISSUER, pem, rsa, token

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
PROTOCOL = "Sec-WebSocket-Protocol"
KEY = "a-key-of-the-portal-that-is-long-enough"
TOLD = 'Bearer realm="brain"'
WRONG = f'{TOLD}, error="invalid_token"'
ASKS = 'ApiKey realm="brain", header="X-Api-Key"'


def fresh(**more: object) -> str:
    now = int(time.time())
    return token(**{"iat": now, "exp": now + 300, **more})  # type: ignore[arg-type]


async def made(gateway: MakeGateway, url: str, more: str = "", others: str = "") -> Gateway:
    key = json.dumps(pem(rsa()))
    return await gateway(
        f"""
        version: 1
        plugins:
          - jwt: {{issuer: "{ISSUER}", audience: brain, key: {key}{more}}}
          {others}
        services:
          echo: "{url}"
          open: {{upstream: "{url}", public: true}}
        """
    )


def code(reply: Reply) -> str:
    return str(json.loads(reply.body)["code"])


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("Bearer opaque-token-of-somebody", "token_invalid"),
        (f"Bearer {fresh(iss='https://other.example.com/')}", "token_issuer_unknown"),
        (f"Bearer {fresh(exp=1)}", "token_expired"),
    ],
)
async def test_a_bad_token_leaves_the_request_to_others_and_is_told_where_none_takes_it(
    gateway: MakeGateway, upstream: RecordingUpstream, bad: str, told: str
) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    others = f"- api-key: {{keys: [{{name: portal, sha256: {digest}}}]}}"
    door = await made(gateway, upstream.url, others=others)
    sent = f"Authorization: {bad}"
    assert (await door.get("/api/brain/echo/x", sent, f"X-Api-Key: {KEY}")).status == 200
    assert upstream.last.header("Authorization") is None
    for more in ([], ["X-Api-Key: wrong"]):
        reply = await door.get("/api/brain/echo/x", sent, *more)
        assert (reply.status, code(reply)) == (401, told)
        assert reply.header("WWW-Authenticate") == f"{WRONG}, {ASKS}"
    reply = await door.get("/api/brain/echo/x")
    assert reply.header("WWW-Authenticate") == f"{TOLD}, {ASKS}"


async def test_a_token_in_a_cookie_lets_in_and_reaches_no_upstream(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    door = await made(gateway, upstream.url, ", cookie: portal")
    cookies = f"Cookie: theme=dark; portal={fresh()}; a=b"
    for path in ("/api/brain/echo/x", "/api/brain/open/x"):
        assert (await door.get(path, cookies)).status == 200
        assert upstream.last.header("Cookie") == "theme=dark; a=b"
    twice = f"Cookie: portal={fresh(sub='eve')}; portal={fresh()}"
    assert code(await door.get("/api/brain/echo/x", twice)) == "token_invalid"
    lines = (f"Cookie: portal={fresh(sub='eve')}", f"Cookie: portal={fresh()}")
    assert code(await door.get("/api/brain/echo/x", *lines)) == "token_invalid"
    assert len(upstream.seen) == 2


async def test_a_websocket_is_let_in_by_a_subprotocol_that_the_upstream_never_sees(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    heads: list[str] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(SWITCH)
        await reader.read()

    server = await raw_upstream(script)
    door = await made(gateway, server.url)
    client = await door.client()
    good = fresh()
    client.send(request("/api/brain/echo/", *HANDSHAKE, f"{PROTOCOL}: brain.bearer, {good}, chat"))
    reply = await client.head()
    assert (reply.status, reply.all(PROTOCOL)) == (101, ["brain.bearer"])
    assert good not in heads[0]
    assert f"{PROTOCOL}: chat\r\n" in heads[0]
    client.close()
    for offered in (f"brain.bearer, {fresh(exp=1)}", "brain.bearer", f"chat, {good}", "chat"):
        client = await door.client()
        client.send(request("/api/brain/echo/", *HANDSHAKE, f"{PROTOCOL}: {offered}"))
        refused = await client.reply()
        assert refused.status == 401, offered
        client.close()
    assert len(heads) == 1
