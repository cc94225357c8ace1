"""`split`: a part of a route's requests goes to another upstream, and all follows it there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from proxy import EXCHANGE
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Script
from tests.functional.plugins_for_tests import HERE, Behaviour, entry

Behave = Callable[[Behaviour], Behaviour]

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-From: %b\r\n\r\nok"


@pytest.fixture
async def canary() -> AsyncIterator[RecordingUpstream]:
    server = RecordingUpstream()
    await server.start()
    server.answer = PLAIN % b"canary"
    yield server
    await server.close()


@pytest.fixture
def main(upstream: RecordingUpstream) -> RecordingUpstream:
    upstream.answer = PLAIN % b"main"
    return upstream


def shop(main: str, split: str, more: str = "", plugins: str = "") -> str:
    return (
        "version: 1\n"
        "gateway: {trusted_proxies: [127.0.0.1]}\n"
        f"plugins: [metrics{plugins}]\n"
        f'services:\n  shop:\n    upstream: "{main}"\n    public: true\n'
        f"    split: [{split}]\n{more}"
    )


async def sides(running: Gateway, count: int = 200, target: str = "/api/brain/shop/x") -> list[str]:
    """Return who answered each of so many clients, told apart by their addresses."""
    client = await running.client()
    found = []
    for number in range(count):
        address = f"10.0.{number // 250}.{number % 250}"
        client.send(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n\r\n".encode()
        )
        found.append((await client.reply()).header("X-From") or "")
    return found


async def test_a_share_of_the_callers_goes_there_and_stays_there(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    running = await gateway(shop(main.url, f'{{upstream: "{canary.url}", share: 20%}}'))
    first = await sides(running)
    assert 20 <= first.count("canary") <= 60
    assert await sides(running) == first
    assert await sides(running, target="/api/brain/shop/other?x=1") == first
    await running.stop()
    again = await gateway(shop(main.url, f'{{upstream: "{canary.url}", share: 20%}}'))
    assert await sides(again) == first, "a restart moves nobody"


async def test_growing_a_share_moves_callers_into_it_and_nobody_out(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    running = await gateway(shop(main.url, f'{{upstream: "{canary.url}", share: 0%}}'))
    before = await sides(running)
    assert set(before) == {"main"}
    for share in ("5%", "30%", "100%"):
        running.path.write_text(shop(main.url, f'{{upstream: "{canary.url}", share: {share}}}'))
        assert await running.reload() is None
        now = await sides(running)
        assert all(new == "canary" for old, new in zip(before, now, strict=True) if old != "main")
        assert now.count("canary") > before.count("canary")
        before = now
    assert set(before) == {"canary"}


async def test_a_caller_is_known_by_tenant_and_subject_wherever_the_request_comes_from(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    text = shop(main.url, f'{{upstream: "{canary.url}", share: 50%}}')
    token = f'{{use: "{HERE}:Token", as: token, with: {{header: X-Token}}}}'
    text = text.replace("    public: true\n", f"    plugins: [{token}]\n")
    running = await gateway(text)
    client = await running.client()
    for number in range(20):
        client.send(
            b"GET /api/brain/shop/x HTTP/1.1\r\nHost: x\r\nX-Token: good\r\n"
            b"X-Forwarded-For: 10.0.0.%d\r\n\r\n" % number
        )
        await client.reply()
    assert {len(main.seen), len(canary.seen)} == {0, 20}


async def test_header_and_cookie_send_a_request_there_whatever_its_share(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    by_header = f'{{upstream: "{canary.url}", header: {{X-Canary: "1"}}}}'
    by_cookie = f'{{upstream: "{canary.url}", share: 0%, cookie: {{canary: true, kind: a}}}}'
    running = await gateway(shop(main.url, f"{by_header}, {by_cookie}"))

    async def side(*headers: str) -> str | None:
        return (await running.get("/api/brain/shop/x", *headers)).header("X-From")

    assert await side() == "main"
    assert await side("X-Canary: 1") == "canary"
    assert await side("X-Canary: 2") == "main"
    assert await side("Cookie: kind=a; canary=") == "canary"
    assert await side("Cookie: canary=1", "Cookie: kind=a") == "canary"
    assert await side("Cookie: canary=1; kind=b") == "main"
    assert await side("Cookie: xcanary=1; kind=a") == "main"


async def test_the_first_entry_that_a_request_asks_for_takes_it(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    other = f'{{upstream: "{main.url}/other", header: {{X-Canary: true}}}}'
    late = f'{{upstream: "{canary.url}", header: {{X-Canary: "1"}}, share: 100%}}'
    running = await gateway(shop(main.url, f"{other}, {late}"))
    await running.get("/api/brain/shop/x", "X-Canary: 1")
    assert main.last.target == "/other/x"
    await running.get("/api/brain/shop/x")
    assert canary.last.target == "/x"


@pytest.mark.parametrize(
    ("base", "other", "asked", "sent"),
    [
        ("", "/v2", "/x?a=%27", "/v2/x?a=%27"),
        ("", "/v2", "", "/v2"),
        ("", "/v2", "/", "/v2/"),
        ("", "/v2", "?a", "/v2?a"),
        ("/v1", "", "/v1/x", "/v1/x"),
        ("/v1", "", "", "/"),
        ("/v1", "/v1/v2", "/x/", "/v1/v2/x/"),
        ("/v1", "/v2", "?", "/v2?"),
    ],
)
async def test_the_path_is_joined_to_the_chosen_upstreams_own(
    gateway: MakeGateway,
    main: RecordingUpstream,
    canary: RecordingUpstream,
    base: str,
    other: str,
    asked: str,
    sent: str,
) -> None:
    entry = f'{{upstream: "{canary.url}{other}", share: 100%}}'
    running = await gateway(shop(main.url + base, entry))
    await running.get(f"/api/brain/shop{asked}")
    assert canary.last.target == sent
    assert canary.last.header("Host") == f"127.0.0.1:{canary.port}"


async def test_rewrites_and_targets_of_plugins_are_told_to_the_chosen_upstream_once(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def twice(request: object, handler: object) -> object:
        outgoing = request[EXCHANGE].outgoing  # type: ignore[index]
        outgoing.set_query("more", "1")
        await handler(request)  # type: ignore[operator]
        assert outgoing.target.startswith("/v1/"), "plugins see one upstream's targets"
        return await handler(request)  # type: ignore[operator]

    @behave
    async def away(request: object, handler: object) -> object:
        request[EXCHANGE].outgoing.target = "/elsewhere"  # type: ignore[index]
        return await handler(request)  # type: ignore[operator]

    more = (
        "    routes:\n"
        "      - {match: {path: '/old/*'}, rewrite: '/new/${request.query.a}/'}\n"
        f"      - {{match: {{path: /twice}}, plugins: [{entry('twice')}]}}\n"
        f"      - {{match: {{path: /away}}, plugins: [{entry('away')}]}}\n"
    )
    running = await gateway(
        shop(main.url + "/v1", f'{{upstream: "{canary.url}/v2", share: 100%}}', more)
    )
    await running.get("/api/brain/shop/old/x?a=b")
    assert canary.last.target == "/v2/new/b/x?a=b"
    await running.get("/api/brain/shop/twice")
    assert [seen.target for seen in canary.seen[1:]] == ["/v2/twice?more=1"] * 2
    await running.get("/api/brain/shop/away")
    assert canary.last.target == "/elsewhere"
    assert main.seen == []


async def test_a_late_rewrite_that_runs_twice_is_joined_once(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def again(request: object, handler: object) -> object:
        await handler(request)  # type: ignore[operator]
        return await handler(request)  # type: ignore[operator]

    token = f'{{use: "{HERE}:Token", as: token, with: {{header: X-Token}}}}'
    text = shop(
        main.url + "/v1",
        f'{{upstream: "{canary.url}/v2", share: 100%}}',
        "    routes: [{match: {path: '/t/*'}, rewrite: '/of/${principal.tenant}/'}]\n",
    ).replace("    public: true\n", f"    plugins: [{entry('again', stage='GUARD')}, {token}]\n")
    running = await gateway(text)
    reply = await running.get("/api/brain/shop/t/x", "X-Token: good")
    assert reply.status == 200
    assert [seen.target for seen in canary.seen] == ["/v2/of/acme/x"] * 2


async def test_location_and_cookies_come_back_in_the_clients_terms(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    running = await gateway(shop(main.url + "/v1", f'{{upstream: "{canary.url}/v2", share: 100%}}'))
    canary.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: %b/v2/next\r\n"
        b"Set-Cookie: a=b; Path=/v2/x; Domain=canary\r\nContent-Length: 0\r\n\r\n"
        % canary.url.encode()
    )
    reply = await running.get("/api/brain/shop/x")
    assert reply.header("Location") == "/api/brain/shop/next"
    assert reply.header("Set-Cookie") == "a=b; Path=/api/brain/shop/x"


async def test_a_body_an_upgrade_and_the_timers_follow_too(
    gateway: MakeGateway,
    main: RecordingUpstream,
    canary: RecordingUpstream,
    raw_upstream: Callable[[Script], Awaitable[RecordingUpstream]],
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if b"pgrade" in asked:
            writer.write(
                b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
            writer.write(await reader.readexactly(5))
        await reader.read()

    server = await raw_upstream(echo)
    split = (
        f'{{upstream: "{server.url}", header: {{X-To: echo}}}}, '
        f'{{upstream: "{canary.url}", share: 100%}}'
    )
    running = await gateway(shop(main.url, split, "    timeouts: {response: 200ms}\n"))
    body = b"x" * 200_000
    await running.get("/api/brain/shop/x", method="POST", body=body)
    assert canary.last.body == body
    reply = await running.get("/api/brain/shop/x", "X-To: echo")
    assert reply.status == 504
    client = await running.client()
    client.send(
        b"GET /api/brain/shop/ws HTTP/1.1\r\nHost: x\r\nX-To: echo\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nhello"
    )
    assert (await client.head()).status == 101
    assert await client.reader.readexactly(5) == b"hello"
    client.close()


async def test_a_far_canary_gets_none_of_the_cookies_that_a_near_upstream_gets(
    gateway: MakeGateway,
    main: RecordingUpstream,
    canary: RecordingUpstream,
    behave: Behave,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @behave
    async def own(request: object, handler: object) -> object:
        headers = request[EXCHANGE].outgoing.headers  # type: ignore[index]
        if "Cookie" in headers:
            headers["Cookie"] += "; own=1"
        return await handler(request)  # type: ignore[operator]

    far = f"http://canary.example.com:{canary.port}"
    running = await gateway(
        shop(
            main.url, f'{{upstream: "{far}", header: {{X-Far: "1"}}}}', plugins=f", {entry('own')}"
        )
    )
    monkeypatch.setattr("proxy.upstream.resolver.Resolver.resolve", _loopback)
    await running.get("/api/brain/shop/x", "Cookie: a=b; c=d")
    assert main.last.header("Cookie") == "a=b; c=d; own=1"
    await running.get("/api/brain/shop/x", "Cookie: a=b; c=d", "X-Far: 1")
    assert canary.last.header("Cookie") == "own=1"
    await running.get("/api/brain/shop/x", "X-Far: 1")
    assert canary.last.header("Cookie") is None


async def _loopback(_self: object, _host: str, port: int) -> object:
    import socket

    return ((socket.AF_INET, ("127.0.0.1", port)),)


async def test_a_route_with_an_upstream_of_its_own_goes_without_the_services_split(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    more = (
        "    routes:\n"
        f'      - {{match: {{path: /own}}, upstream: "{main.url}/own"}}\n'
        "      - {match: {path: /none}, split: []}\n"
        "      - {match: {path: /same}}\n"
    )
    running = await gateway(shop(main.url, f'{{upstream: "{canary.url}", share: 100%}}', more))
    for path in ("own", "none", "same"):
        await running.get(f"/api/brain/shop/{path}")
    assert [seen.target for seen in main.seen] == ["/own/own", "/none"]
    assert [seen.target for seen in canary.seen] == ["/same"]


async def test_what_the_cache_keeps_of_one_upstream_is_never_served_to_the_others_callers(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    for server in (main, canary):
        server.answer = server.answer.replace(
            b"\r\n\r\n", b"\r\nCache-Control: public, max-age=60\r\n\r\n"
        )
    split = f'{{upstream: "{canary.url}", header: {{X-Canary: "1"}}}}'
    running = await gateway(shop(main.url, split, plugins=", cache"))
    for _ in range(2):
        assert (await running.get("/api/brain/shop/x")).header("X-From") == "main"
        canaried = await running.get("/api/brain/shop/x", "X-Canary: 1")
        assert canaried.header("X-From") == "canary"
    assert (len(main.seen), len(canary.seen)) == (1, 1)
    await running.get("/api/brain/shop/x", "X-Canary: 1", method="DELETE")
    await running.get("/api/brain/shop/x")
    assert len(main.seen) == 2, "what one of them changes is forgotten of both"


async def test_a_client_keeps_its_target_among_the_chosen_upstreams_own(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream
) -> None:
    """The cookie by which it does is the gateway's, whichever upstream has it."""
    own = f'{{targets: ["{canary.url}", "{main.url}"], balance: {{sticky: kept}}, path: /v2}}'
    running = await gateway(shop(main.url, f'{{upstream: {own}, header: {{X-Canary: "1"}}}}'))
    first = await running.get("/api/brain/shop/x", "X-Canary: 1")
    cookie = (first.header("Set-Cookie") or "").partition(";")[0]
    assert cookie.startswith("kept=")
    for _ in range(4):
        again = await running.get("/api/brain/shop/x", "X-Canary: 1", f"Cookie: {cookie}; a=b")
        assert again.header("X-From") == first.header("X-From")
    await running.get("/api/brain/shop/x", f"Cookie: {cookie}; a=b")
    assert main.last.header("Cookie") == "a=b"
    assert main.last.target == "/x"


async def test_a_try_behind_a_failed_one_stays_with_the_chosen_upstream(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream, unused_tcp_port: int
) -> None:
    own = f'{{targets: ["http://127.0.0.1:{unused_tcp_port}", "{canary.url}"], path: /v2}}'
    running = await gateway(shop(main.url, f"{{upstream: {own}, share: 100%}}"))
    for _ in range(4):
        assert (await running.get("/api/brain/shop/x")).header("X-From") == "canary"
    assert {seen.target for seen in canary.seen} == {"/v2/x"}
    assert main.seen == []


async def test_requests_are_counted_by_the_upstream_that_was_chosen(
    gateway: MakeGateway, main: RecordingUpstream, canary: RecordingUpstream, unused_tcp_port: int
) -> None:
    split = (
        f'{{upstream: "{canary.url}/v2", header: {{X-To: canary}}}}, '
        f'{{upstream: "http://127.0.0.1:{unused_tcp_port}", header: {{X-To: dead}}}}'
    )
    running = await gateway(shop(main.url, split))
    await running.get("/api/brain/shop/x")
    for _ in range(2):
        await running.get("/api/brain/shop/x", "X-To: canary")
    assert (await running.get("/api/brain/shop/x", "X-To: dead")).status == 502
    assert await running.reload() is None
    page = (await running.admin("/metrics")).body.decode()
    lines = [line for line in page.splitlines() if line.startswith("brain_split_requests_total{")]
    place = f"127.0.0.1:{canary.port}/v2"
    dead = f"127.0.0.1:{unused_tcp_port}"
    assert sorted(lines) == sorted(
        f'brain_split_requests_total{{service="shop",status_class="{kind}",upstream="{name}"}} {n}'
        for name, kind, n in [
            ("shop", "2xx", 1.0),
            (f"shop to {place}", "2xx", 2.0),
            (f"shop to {dead}", "5xx", 1.0),
        ]
    )
    assert f"upstream shop to {dead}" in (await running.admin("/ready")).body.decode()
