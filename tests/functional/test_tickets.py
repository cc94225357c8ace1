"""Tickets on a real gateway: given to whom a path would let in, taken once, there, and then no more."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from proxy import Authenticator, Principal, Unauthenticated
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply

HERE = "tests.functional.test_tickets"
CHAT = "/api/brain/agents/chat/one"
KIM = "X-Caller: kim"


class Caller(Authenticator):
    """Believes a header, or a cookie that browsers send by themselves."""

    protects = frozenset({"x-caller"})
    protects_cookies = frozenset({"caller"})

    def challenge(self) -> str:
        return 'Caller realm="test"'

    def authenticate(self, request: web.BaseRequest) -> Principal | None:
        name, cookie = request.headers.get("X-Caller"), request.cookies.get("caller")
        if name == "bad":
            raise Unauthenticated
        if name is None and cookie is None:
            return None
        claims = {"plan": "pro", "pad": "x" * (6000 if name == "large" else 0)}
        return Principal(
            name or str(cookie), "acme", frozenset({"chat"}), claims=claims, ambient=name is None
        )


class Other(Caller):
    """Another authenticator, for another route."""

    protects = frozenset({"x-other"})

    def authenticate(self, request: web.BaseRequest) -> Principal | None:
        name = request.headers.get("X-Other")
        return Principal(name) if name else None


def text(upstream: RecordingUpstream, options: str = "{lifetime: 30s}", more: str = "") -> str:
    return f"""
        version: 1
        {more}
        plugins:
          - cors: {{origins: ["https://app.example.com"], credentials: true}}
          - {{use: "{HERE}:Caller"}}
          - ticket: {options}
          - headers: {{request: {{set: {{X-Who: "${{principal.subject}} ${{claims.plan}}"}}}}}}
        services:
          agents:
            upstream: "{upstream.url}"
            routes:
              - match: {{path: "/other/*"}}
                plugins: [{{use: "{HERE}:Other"}}, ticket]
                skip: [headers]
              - match: {{path: "/closed/*"}}
                plugins: [{{use: "{HERE}:Other"}}]
                skip: [headers]
              - {{match: {{path: "/open/*"}}, public: true, skip: [headers]}}
        """


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream) -> Gateway:
    return await gateway(text(upstream))


async def ask(running: Gateway, path: str, *headers: str) -> Reply:
    body = json.dumps({"path": path}).encode()
    return await running.get("/api/brain/_ticket", *headers, method="POST", body=body)


async def ticket_for(running: Gateway, path: str = CHAT, *headers: str) -> str:
    reply = await ask(running, path, *(headers or (KIM,)))
    assert reply.status == 200, reply.body
    ticket: str = json.loads(reply.body)["ticket"]
    return ticket


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["code"]


async def test_a_ticket_lets_its_holder_in_once_as_who_asked_for_it(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    reply = await ask(running, CHAT, KIM)
    given = json.loads(reply.body)
    assert (given["expires_in"], reply.header("Cache-Control")) == (30, "no-store")
    used = await running.get(f"{CHAT}?a=1&ticket={quote(given['ticket'])}&b")
    assert used.status == 200
    assert upstream.last.target == "/chat/one?a=1&b"
    assert upstream.last.header("X-Who") == "kim pro"
    assert given["ticket"].encode() not in upstream.last.raw_head
    again = await running.get(f"{CHAT}?ticket={given['ticket']}")
    assert told(again) == (401, "ticket_used")
    assert len(upstream.seen) == 1


async def test_of_many_who_use_one_ticket_at_once_one_gets_in(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    ticket = await ticket_for(running)
    replies = await asyncio.gather(*(running.get(f"{CHAT}?ticket={ticket}") for _ in range(20)))
    assert sorted(reply.status for reply in replies) == [200, *[401] * 19]


@pytest.mark.parametrize(
    "path",
    ["/api/brain/agents/chat/two", "/api/brain/agents/chat/one/", "/api/brain/agents/chat/%6fne"],
)
async def test_it_is_for_its_very_path(running: Gateway, path: str) -> None:
    ticket = await ticket_for(running)
    assert told(await running.get(f"{path}?ticket={ticket}")) == (401, "ticket_invalid")
    assert (await running.get(f"{CHAT}?ticket={ticket}")).status == 200


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_it_is_for_reading(running: Gateway, method: str) -> None:
    ticket = await ticket_for(running)
    reply = await running.get(f"{CHAT}?ticket={ticket}", method=method, body=b"x")
    assert told(reply) == (401, "ticket_invalid")


async def test_what_was_changed_or_sealed_elsewhere_is_refused(
    running: Gateway, gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    ticket = await ticket_for(running)
    head, *rest = ticket.split(".")
    swapped = "A" if rest[-2][0] != "A" else "B"
    changed = ".".join([head, *rest[:-2], swapped + rest[-2][1:], rest[-1]])
    foreign = await ticket_for(await gateway(text(upstream)))
    none = ticket.replace(head, "eyJhbGciOiJub25lIn0")
    for bad in (changed, foreign, none, "", "x", "é", "a.b.c.d.e", ticket * 9):
        reply = await running.get(f"{CHAT}?ticket={quote(bad)}")
        assert told(reply) == (401, "ticket_invalid"), bad
    twice = await running.get(f"{CHAT}?ticket={ticket}&ticket={ticket}")
    assert told(twice) == (401, "ticket_invalid")
    assert upstream.seen == []


async def test_it_ends(gateway: MakeGateway, upstream: RecordingUpstream) -> None:
    running = await gateway(text(upstream, "{lifetime: 100ms}"))
    ticket = await ticket_for(running)
    await asyncio.sleep(0.2)
    assert told(await running.get(f"{CHAT}?ticket={ticket}")) == (401, "ticket_expired")


async def test_the_page_says_what_is_away_while_the_key_is(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    away = 'secrets: {vault: {address: "http://127.0.0.1:1", auth: {token: "${TOKEN}"}}}\n'
    options = "{key: {secret: platform/gateway, field: ticket}}"
    running = await gateway(text(upstream, options, away), TOKEN="t0ken")
    reply = await ask(running, CHAT)
    assert told(reply) == (503, "secret_unavailable")


async def test_who_the_path_would_not_let_in_gets_none(running: Gateway) -> None:
    other = "/api/brain/agents/other/x"
    stranger = await ask(running, CHAT)
    assert told(stranger) == (401, "credentials_missing")
    assert stranger.header("WWW-Authenticate") == 'Caller realm="test"'
    assert told(await ask(running, CHAT, "X-Caller: bad")) == (401, "credentials_invalid")
    # A good credential of another route is none of this one's.
    assert told(await ask(running, other, KIM)) == (401, "credentials_missing")
    assert (await ask(running, other, "X-Other: lee")).status == 200
    assert told(await ask(running, CHAT, "X-Other: lee")) == (401, "credentials_missing")


@pytest.mark.parametrize(
    "path", ["/api/brain/agents/closed/x", "/api/brain/agents/open/x", "/api/brain/nobody/x", "/x"]
)
async def test_a_path_that_asks_for_no_ticket_gets_none(running: Gateway, path: str) -> None:
    assert told(await ask(running, path, KIM, "X-Other: lee")) == (403, "ticket_refused")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"path": 7}',
        b'{"path": "x"}',
        b'{"path": "/x?a"}',
        b'{"path": "/x#a"}',
        b"[" * 5000,
    ],
)
async def test_a_question_that_is_none_is_told(running: Gateway, body: bytes) -> None:
    reply = await running.get("/api/brain/_ticket", KIM, method="POST", body=body)
    assert told(reply) == (400, "ticket_question_invalid")


async def test_dots_and_a_long_question_are_refused(running: Gateway) -> None:
    assert told(await ask(running, "/api/brain/agents/open/../chat/one", KIM)) == (400, "bad_path")
    assert told(await ask(running, "/" + "x" * 9000, KIM)) == (413, "body_too_large")


async def test_a_ticket_buys_no_ticket(running: Gateway) -> None:
    ticket = await ticket_for(running)
    body = json.dumps({"path": CHAT}).encode()
    reply = await running.get(f"/api/brain/_ticket?ticket={ticket}", method="POST", body=body)
    assert told(reply) == (401, "credentials_missing")


async def test_a_page_of_another_site_gets_none_by_cookie(running: Gateway) -> None:
    cookie, evil = "Cookie: caller=kim", "Origin: https://evil.example"
    assert told(await ask(running, CHAT, cookie, evil)) == (403, "csrf_refused")
    assert told(await ask(running, CHAT, cookie)) == (403, "csrf_refused")
    reply = await ask(running, CHAT, cookie, "Origin: https://app.example.com")
    assert reply.status == 200
    assert reply.header("Access-Control-Allow-Origin") == "https://app.example.com"


async def test_a_caller_with_too_many_claims_is_told(running: Gateway) -> None:
    assert told(await ask(running, CHAT, "X-Caller: large")) == (422, "ticket_too_large")


async def test_tickets_outlive_a_reload(running: Gateway, upstream: RecordingUpstream) -> None:
    ticket, used = await ticket_for(running), await ticket_for(running)
    assert (await running.get(f"{CHAT}?ticket={used}")).status == 200
    assert await running.reload() is None
    assert (await running.get(f"{CHAT}?ticket={ticket}")).status == 200
    assert told(await running.get(f"{CHAT}?ticket={used}")) == (401, "ticket_used")


async def test_the_key_is_kept_over_a_restart(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    state = f'gateway: {{state_dir: "{tmp_path}/state"}}'
    first = await gateway(text(upstream, more=state))
    ticket = await ticket_for(first)
    await first.stop()
    (kept,) = (tmp_path / "state/keys").iterdir()
    assert (kept.stat().st_mode & 0o777, kept.stat().st_size) == (0o600, 32)
    second = await gateway(text(upstream, more=state))
    assert (await second.get(f"{CHAT}?ticket={ticket}")).status == 200


async def test_an_upgrade_may_use_one(running: Gateway, upstream: RecordingUpstream) -> None:
    ticket = await ticket_for(running)
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    reply = await running.get(f"{CHAT}?ticket={ticket}", *upgrade, key)
    assert reply.status == 200  # this upstream refuses to switch, and says so itself
    assert upstream.last.target == "/chat/one"


@pytest.mark.parametrize("first", ["host: weak.test", "header: {X-Env: test}"])
async def test_whom_another_route_of_the_path_let_in_does_not_get_in_here(
    gateway: MakeGateway, upstream: RecordingUpstream, first: str
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins:
          - {{use: "{HERE}:Caller"}}
          - ticket
        services:
          agents:
            upstream: "{upstream.url}"
            routes:
              - match: {{path: /chat/one, {first}}}
                plugins: [{{use: "{HERE}:Other"}}, ticket]
        """
    )
    body = json.dumps({"path": CHAT})
    lines = ["Host: weak.test", "X-Env: test", "X-Other: kim", f"Content-Length: {len(body)}"]
    head = "\r\n".join(["POST /api/brain/_ticket HTTP/1.1", *lines])
    given = await running.ask(f"{head}\r\n\r\n{body}".encode())
    ticket = json.loads(given.body)["ticket"]
    assert told(await running.get(f"{CHAT}?ticket={ticket}")) == (401, "ticket_invalid")
    assert upstream.seen == []


async def test_half_a_letter_is_no_path(running: Gateway) -> None:
    body = b'{"path": "/api/brain/agents/chat/\\ud800"}'
    reply = await running.get("/api/brain/_ticket", method="POST", body=body)
    assert told(reply) == (400, "ticket_question_invalid")


async def test_guesses_at_the_page_are_limited_as_the_route_limits_them(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins:
          - {{use: "{HERE}:Caller"}}
          - ticket
        services:
          agents:
            upstream: "{upstream.url}"
            plugins: [{{rate-limit: {{key: address, limits: 3/h}}}}]
        """
    )
    codes = [told(await ask(running, CHAT, "X-Caller: bad")) for _ in range(5)]
    assert codes == [(401, "credentials_invalid")] * 3 + [(429, "rate_limited")] * 2
    # The limit is one: what was tried here is counted there.
    assert told(await running.get(CHAT, "X-Caller: bad")) == (429, "rate_limited")
