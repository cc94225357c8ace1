"""forward-auth on a real gateway, beside a service that says who calls."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator

import pytest

from tests.functional.authkit import COOKIE, LOGIN, AuthService, known, said
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Seen, request
from tests.functional.plugins_for_tests import HERE
from tests.functional.test_websocket_tunnel import HANDSHAKE, SWITCH

KIM = f"Cookie: theme=dark; {COOKIE}=kim-session"
LEE = f"Cookie: {COOKIE}=lee-session"
PAGE = "Accept: text/html,*/*;q=0.8"


@pytest.fixture
async def auth() -> AsyncIterator[AuthService]:
    service = AuthService()
    await service.start()
    yield service
    await service.close()


def config(upstream: RecordingUpstream, auth: AuthService, more: str = "", rest: str = "") -> str:
    return f"""
version: 1
services:
  app:
    upstream: "{upstream.url}"
    plugins:
      - forward-auth: {{url: "{auth.url}/outpost/auth?rule=1", profile: authentik{more}}}
{rest}
  open: {{upstream: "{upstream.url}", public: true}}
"""


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService) -> Gateway:
    return await gateway(config(upstream, auth))


def code_of(body: bytes) -> str:
    return str(json.loads(body)["code"])


# -- what is asked


async def test_the_service_gets_all_it_may_know_and_no_more(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    auth.people = {f"{COOKIE}=kim-session": "kim"}
    running = await gateway(config(upstream, auth, ", headers: [Accept-Language]"))
    reply = await running.get(
        "/api/brain/app/a%2Db/?q=%20&x",
        KIM,
        "Accept-Language: de",
        "Connection: keep-alive, X-Named",
        "X-Named: 1",
        "X-Forwarded-Uri: /outpost.goauthentik.io/",
        "X-Forwarded-Host: evil.example",
        "X-Original-URL: https://evil.example/",
        "X-Real-IP: 10.0.0.1",
        "X-Other: 1",
        "Sec-Fetch-Site: same-origin",
        method="POST",
        body=b"secret body",
    )
    assert reply.status == 200
    asked = auth.last
    assert (asked.line, asked.body) == ("GET /outpost/auth?rule=1 HTTP/1.1", b"")
    got = {name.lower(): value for name, value in asked.fields}
    assert len(got) == len(asked.fields)
    assert got.pop("host") == f"127.0.0.1:{auth.port}"
    got.pop("x-request-id", None)
    assert got == {
        "x-forwarded-method": "POST",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "gateway.test",
        "x-forwarded-uri": "/api/brain/app/a%2Db/?q=%20&x",
        "x-forwarded-for": "127.0.0.1",
        "x-real-ip": "127.0.0.1",
        "x-original-method": "POST",
        "x-original-url": "http://gateway.test/api/brain/app/a%2Db/?q=%20&x",
        "cookie": f"{COOKIE}=kim-session",
        "accept-language": "de",
    }
    assert upstream.last.body == b"secret body"


async def test_an_absolute_target_is_told_as_a_path(running: Gateway, auth: AuthService) -> None:
    await running.ask(
        b"GET http://gateway.test/api/brain/app/x?y HTTP/1.1\r\nHost: gateway.test\r\n"
        + KIM.encode()
        + b"\r\n\r\n"
    )
    assert auth.last.header("X-Forwarded-Uri") == "/api/brain/app/x?y"


# -- who gets in


async def test_whom_the_service_knows_gets_in_and_the_upstream_learns_who(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    assert (await running.get("/api/brain/app/", KIM)).status == 200
    seen = upstream.last
    assert seen.all("X-authentik-username") == ["kim"]
    assert seen.all("X-authentik-groups") == ["Staff|Nurses"]
    assert seen.header("X-authentik-jwt") is None
    assert seen.all("Cookie") == ["theme=dark"]


@pytest.mark.parametrize("path", ["app", "open"])
async def test_nobody_tells_the_upstream_himself_who_he_is(
    running: Gateway, upstream: RecordingUpstream, path: str
) -> None:
    spoofed = ("X-authentik-username: root", "X-Authentik-Email: a@b", "X-Authentik-Uid: 1")
    assert (await running.get(f"/api/brain/{path}/", KIM, *spoofed)).status == 200
    expected = ["kim"] if path == "app" else []
    assert upstream.last.all("X-authentik-username") == expected
    assert upstream.last.header("X-authentik-uid") is None
    assert b"session" not in upstream.last.raw_head


async def test_an_authorization_of_the_service_counts_and_goes_no_further(
    running: Gateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    auth.people = {"Basic a2ltOng=": "kim", "Bearer kims": "kim"}
    for given in auth.people:
        assert (await running.get("/api/brain/app/", f"Authorization: {given}")).status == 200
        assert upstream.last.header("Authorization") is None
    reply = await running.get("/api/brain/app/", "Authorization: Digest x", PAGE)
    assert reply.status == 302
    assert auth.last.header("Authorization") is None


async def test_two_authorizations_are_a_bad_credential(running: Gateway, auth: AuthService) -> None:
    reply = await running.get(
        "/api/brain/app/", "Authorization: Bearer kims", "Authorization: Bearer lees"
    )
    assert reply.status in (400, 401)
    assert auth.seen == []


async def test_a_credential_that_is_no_text_is_bad_and_other_bytes_are_passed_over(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    running = await gateway(config(upstream, auth, ", headers: [X-Odd]"))
    reply = await running.get("/api/brain/app/", f"Cookie: {COOKIE}=\xff", "Accept: a/b")
    assert (reply.status, code_of(reply.body)) == (401, "credentials_invalid")
    assert auth.seen == []
    assert (await running.get("/api/brain/app/", KIM, "X-Odd: \xff")).status == 200
    assert auth.last.header("X-Odd") is None


async def test_a_page_of_another_site_can_not_use_the_session(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    reply = await running.get("/api/brain/app/", KIM, "Origin: https://evil.example", method="POST")
    assert (reply.status, code_of(reply.body)) == (403, "csrf_refused")
    assert upstream.seen == []


async def test_a_renewed_session_is_given_to_the_client_once_and_no_other_cookie(
    running: Gateway, auth: AuthService
) -> None:
    renewed = f"{COOKIE}=newer; Path=/; HttpOnly"
    auth.answering = lambda seen: known(
        "kim", f"Set-Cookie: {renewed}", "Set-Cookie: sessionid=stolen", "Set-Cookie: =x"
    )
    first = await running.get("/api/brain/app/", KIM)
    again = await running.get("/api/brain/app/", KIM)
    assert first.all("Set-Cookie") == [renewed]
    assert again.all("Set-Cookie") == []
    assert len(auth.seen) == 1


async def test_head_and_upgrades_are_asked_about_by_get(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    running = await gateway(config(upstream, auth, ", cache: 0s"))
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    assert (await running.get("/api/brain/app/", KIM, method="HEAD")).status == 200
    assert auth.last.line.startswith("GET ")
    assert auth.last.header("X-Forwarded-Method") == "HEAD"
    upstream.answer = SWITCH
    shake = (*HANDSHAKE, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: websocket")
    client = await running.client()
    client.send(request("/api/brain/app/ws", *shake, KIM))
    assert (await client.head()).status == 101
    assert auth.last.header("Upgrade") is None
    assert auth.last.header("X-Forwarded-Uri") == "/api/brain/app/ws"
    refused = await running.get("/api/brain/app/ws", *shake, f"Cookie: {COOKIE}=ended")
    assert (refused.status, code_of(refused.body)) == (401, "credentials_invalid")


# -- who does not


async def test_a_page_without_a_session_is_led_to_the_login(
    running: Gateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    reply = await running.get("/api/brain/app/", PAGE, "Sec-Fetch-Mode: navigate")
    assert (reply.status, reply.header("Location"), reply.body) == (302, LOGIN, b"go")
    assert reply.all("Set-Cookie") == [f"{COOKIE}=state; HttpOnly"]
    assert reply.header("Cache-Control") == "no-store"
    assert upstream.seen == []
    old = await running.get("/api/brain/app/", f"Cookie: {COOKIE}=ended")
    assert (old.status, old.header("Location")) == (302, LOGIN)
    assert len(auth.seen) == 2


@pytest.mark.parametrize(
    "headers",
    [("Sec-Fetch-Mode: cors",), ("Accept: application/json",), ("Accept: text/event-stream",)],
)
async def test_a_script_gets_a_401_that_it_can_read_instead_of_the_login(
    running: Gateway, headers: tuple[str, ...]
) -> None:
    missing = await running.get("/api/brain/app/", *headers)
    assert (missing.status, code_of(missing.body)) == (401, "credentials_missing")
    assert missing.header("WWW-Authenticate") == 'Cookie realm="brain"'
    ended = await running.get("/api/brain/app/", f"Cookie: {COOKIE}=ended", *headers)
    assert (ended.status, code_of(ended.body)) == (401, "credentials_invalid")


@pytest.mark.parametrize("cookie", ["", f"Cookie: {COOKIE}=ended"])
@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_refusals_of_the_service_are_told_in_its_own_words(
    running: Gateway, auth: AuthService, upstream: RecordingUpstream, status: str, cookie: str
) -> None:
    auth.answering = lambda seen: said(
        status,
        "WWW-Authenticate: Basic realm=x",
        "Content-Type: text/html",
        "Set-Cookie: sessionid=stolen",
        "X-Internal: 10.0.0.3",
        "Transfer: x",
        body=b"<p>no</p>",
    )
    reply = await running.get("/api/brain/app/", *[cookie][: bool(cookie)])
    assert f"{reply.status} {reply.reason}" == status
    assert (reply.body, reply.header("Content-Type")) == (b"<p>no</p>", "text/html")
    assert reply.all("WWW-Authenticate")[0] == "Basic realm=x"
    assert reply.all("Set-Cookie") == []
    assert reply.header("X-Internal") is None
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("cookie", "status", "code"),
    [
        ("Cookie: x=1", "401 Unauthorized", "credentials_missing"),
        (KIM, "401 Unauthorized", "credentials_invalid"),
        (KIM, "403 Forbidden", "auth_refused"),
    ],
)
async def test_a_refusal_without_words_gets_the_gateways(
    running: Gateway, auth: AuthService, cookie: str, status: str, code: str
) -> None:
    auth.answering = lambda seen: said(status, "Content-Type: text/html", "WWW-Authenticate: A b=c")
    reply = await running.get("/api/brain/app/", cookie)
    assert code_of(reply.body) == code
    assert reply.all("Content-Type") == ["application/problem+json"]
    assert "A b=c" in reply.all("WWW-Authenticate")


# -- whom others know


def token(header: str) -> str:
    return f'{{use: "{HERE}:Token", as: {header.lower()}, with: {{header: {header}}}}}'


async def test_whom_another_authenticator_knows_the_service_is_not_asked_about(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    running = await gateway(config(upstream, auth, rest=f"      - {token('A')}"))
    assert (await running.get("/api/brain/app/", "A: good")).status == 200
    assert auth.seen == []
    assert (await running.get("/api/brain/app/", "A: good", f"Cookie: {COOKIE}=old")).status == 200
    bad = await running.get("/api/brain/app/", "A: bad", PAGE)
    assert (bad.status, code_of(bad.body)) == (401, "credentials_invalid")
    assert (await running.get("/api/brain/app/", PAGE)).status == 302


async def test_an_optional_route_leads_nobody_to_the_login(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    running = await gateway(config(upstream, auth, rest="    public: optional"))
    assert (await running.get("/api/brain/app/", PAGE)).status == 200
    assert auth.seen == []
    assert (await running.get("/api/brain/app/", f"Cookie: {COOKIE}=old", PAGE)).status == 302


# -- what is remembered


async def test_a_caller_is_asked_about_once_while_the_verdict_holds(
    running: Gateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    for path in ("", "x", "y?z"):
        assert (await running.get(f"/api/brain/app/{path}", KIM)).status == 200
    assert len(auth.seen) == 1
    await running.get("/api/brain/app/", LEE)
    assert upstream.last.header("X-authentik-username") == "lee"
    assert len(auth.seen) == 2
    other_host = f"GET /api/brain/app/ HTTP/1.1\r\nHost: other.test\r\n{KIM}\r\n\r\n"
    await running.ask(other_host.encode())
    assert len(auth.seen) == 3


@pytest.mark.parametrize(("options", "asked"), [(", cache_per: path", 3), (", cache: 0s", 4)])
async def test_a_service_that_judges_paths_is_asked_about_each(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    auth: AuthService,
    options: str,
    asked: int,
) -> None:
    running = await gateway(config(upstream, auth, options))
    for path in ("", "x", "x?y", "x"):
        await running.get(f"/api/brain/app/{path}", KIM)
    assert len(auth.seen) == asked


async def test_a_refusal_is_not_remembered(running: Gateway, auth: AuthService) -> None:
    people, auth.people = auth.people, {}
    assert (await running.get("/api/brain/app/", KIM)).status == 302
    auth.people = people
    assert (await running.get("/api/brain/app/", KIM)).status == 200


async def test_those_who_come_together_with_one_session_are_asked_about_once(
    running: Gateway, auth: AuthService
) -> None:
    auth.hold = asyncio.Event()
    together = [asyncio.ensure_future(running.get("/api/brain/app/", KIM)) for _ in range(20)]
    async with asyncio.timeout(2):
        while not auth.seen:
            await asyncio.sleep(0.01)
    auth.hold.set()
    assert {reply.status for reply in await asyncio.gather(*together)} == {200}
    assert len(auth.seen) == 1


async def test_one_who_leaves_takes_nobody_along_who_waits_for_the_same(
    running: Gateway, auth: AuthService
) -> None:
    auth.hold = asyncio.Event()
    leaving = await running.client()
    leaving.send(f"GET /api/brain/app/ HTTP/1.1\r\nHost: gateway.test\r\n{KIM}\r\n\r\n".encode())
    async with asyncio.timeout(2):
        while not auth.seen:
            await asyncio.sleep(0.01)
    waiting = asyncio.ensure_future(running.get("/api/brain/app/", KIM))
    await asyncio.sleep(0.05)
    leaving.close()
    async with asyncio.timeout(2):
        while len(auth.seen) < 2:
            await asyncio.sleep(0.01)
    auth.hold.set()
    assert (await waiting).status == 200


# -- a service that fails


async def away(running: Gateway, *headers: str) -> None:
    reply = await running.get("/api/brain/app/", *headers)
    assert (reply.status, code_of(reply.body)) == (503, "auth_unavailable")
    assert reply.header("Retry-After") is not None
    assert b"127.0.0.1" not in reply.body


BAD = [
    said("500 Oops", body=b"x"),
    said("404 Not Found"),
    said("429 Too Many Requests"),
    said("304 Not Modified"),
    said("302 Found"),
    said("200 OK"),
    said("200 OK", "X-authentik-username: "),
    said("200 OK", "X-authentik-username: kim", "X-authentik-username: root"),
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-authentik-username: kim\r\nContent-Length: 9\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nX-authentik-username: kim\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000,
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000,
    b"HTTP/1.1 200 OK\r\nX-authentik-username: " + b"k" * 70000 + b"\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("answer", BAD)
@pytest.mark.parametrize("headers", [(KIM,), (PAGE,)])
async def test_what_is_no_verdict_lets_nobody_in(
    running: Gateway,
    auth: AuthService,
    upstream: RecordingUpstream,
    answer: bytes,
    headers: tuple[str, ...],
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    auth.script = script
    await away(running, *headers)
    assert upstream.seen == []


async def test_a_slow_a_hanging_and_a_dripping_service_let_nobody_in(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    running = await gateway(config(upstream, auth, ", timeout: 200ms"))

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-authentik-username: kim\r\nContent-Length: 900\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    for script in (drips, hangs):
        auth.script = script
        await asyncio.gather(*(away(running, KIM) for _ in range(5)))
        await away(running, PAGE)
    assert upstream.seen == []


async def test_the_time_that_the_file_gives_the_service_is_the_one_that_it_has(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    auth: AuthService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.plugin.http.TIMEOUT", 0.1)

    async def later(seen: Seen) -> bytes:
        await asyncio.sleep(0.3)
        return known("kim")

    auth.answering = later
    running = await gateway(config(upstream, auth, ", timeout: 5s"))
    assert (await running.get("/api/brain/app/", KIM)).status == 200


async def test_a_service_that_hangs_does_not_use_up_the_connections_of_others(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    running = await gateway(config(upstream, auth, ", timeout: 500ms"))
    auth.hold = asyncio.Event()
    many = [f"Cookie: {COOKIE}=s{number}" for number in range(70)]
    together = asyncio.gather(*(away(running, cookie) for cookie in many))
    async with asyncio.timeout(2):
        while len(auth.seen) < 50:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert auth.connections == 50
    await together
    auth.hold.set()
    assert (await running.get("/api/brain/app/", KIM)).status == 200


async def test_a_service_that_dies_under_load_lets_nobody_more_in(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    running = await gateway(config(upstream, auth, ", cache: 0s"))
    statuses: list[int] = []
    dead = asyncio.Event()

    async def caller() -> None:
        while not dead.is_set():
            statuses.append((await running.get("/api/brain/app/", KIM)).status)

    callers = [asyncio.ensure_future(caller()) for _ in range(5)]
    async with asyncio.timeout(5):
        while len(statuses) < 30:
            await asyncio.sleep(0.01)
    await auth.close()
    let_in = len(upstream.seen)
    async with asyncio.timeout(5):
        while statuses.count(503) < 30:
            await asyncio.sleep(0.01)
    dead.set()
    await asyncio.gather(*callers)
    assert set(statuses) == {200, 503}
    # What was let in before may still have been on its way.
    assert len(upstream.seen) - let_in <= len(callers)
    await away(running, KIM)


async def test_an_outpost_behind_a_public_route_is_reached_without_a_session(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    running = await gateway(
        config(upstream, auth)
        + f"""
routes:
  - match: {{path: /outpost.goauthentik.io/*}}
    upstream: "{auth.url}"
    public: true
    forward_token: true
    host: preserve
"""
    )
    reply = await running.get("/outpost.goauthentik.io/start?rd=x", LEE)
    assert reply.status == 200
    seen = auth.last
    assert seen.target == "/outpost.goauthentik.io/start?rd=x"
    assert COOKIE in str(seen.header("Cookie"))
    assert seen.header("Host") == "gateway.test"


@pytest.mark.parametrize("headers", [(KIM,), (PAGE,), (f"Cookie: {COOKIE}=ended",)])
async def test_a_hundred_who_were_asked_about_leave_nothing_to_collect(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService, headers: tuple[str, ...]
) -> None:
    running = await gateway(config(upstream, auth, ", cache: 0s"))
    client = await running.client()

    async def ask(times: int) -> None:
        for _ in range(times):
            client.send(request("/api/brain/app/", *headers))
            await client.reply()

    await ask(5)
    gc.collect()
    gc.disable()
    try:
        await ask(100)
        await asyncio.sleep(0)
        found = gc.collect()
    finally:
        gc.enable()
    assert found < 50


async def test_who_buys_a_ticket_is_judged_for_the_path_that_it_is_for(
    gateway: MakeGateway, upstream: RecordingUpstream, auth: AuthService
) -> None:
    def judge(seen: Seen) -> bytes:
        good = "/secret" not in str(seen.header("X-Forwarded-Uri"))
        return known("kim") if good else said("403 Forbidden")

    auth.answering = judge
    text = config(upstream, auth, ", cache: 10s, cache_per: path", "      - ticket")
    running = await gateway(text)
    own = "Sec-Fetch-Site: same-origin"
    for path, status in (("/api/brain/app/x", 200), ("/api/brain/app/secret", 403)):
        body = json.dumps({"path": path}).encode()
        reply = await running.get("/api/brain/_ticket", KIM, own, method="POST", body=body)
        assert reply.status == status
        assert auth.last.header("X-Forwarded-Uri") == path
        assert auth.last.header("X-Forwarded-Method") == "GET"
        assert str(auth.last.header("X-Original-URL")).endswith(path)
