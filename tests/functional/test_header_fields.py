"""Header fields both ways: what travels on, as which bytes (semantics.md, rows 8, 9, 11-13)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from aiohttp import web

from proxy import EXCHANGE, Answer, Handler
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream
from tests.functional.plugins_for_tests import HERE, Behaviour


async def serving(gateway: MakeGateway, upstream: RecordingUpstream, *more: str) -> Gateway:
    options = "".join(f"\n            {line}" for line in more)
    return await gateway(
        f"""
        version: 1
        services:
          crm:
            upstream: {upstream.url}
            public: true{options}
        """
    )


OURS = {
    "host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "forwarded",
    "x-brain-hops",
}


def clients(upstream: RecordingUpstream) -> list[tuple[str, str]]:
    """What arrived, less what the gateway adds to every request."""
    return [(name, value) for name, value in upstream.last.fields if name.lower() not in OURS]


async def test_order_case_repetition_and_bytes_of_a_request_survive(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    sent = [
        "b-SECOND: 2",
        "A-first: 1",
        "B-Second: 3",
        "X-Empty:",
        "X-Raw: \xff\xc3\xa9\x80",
        "X-T: a\tb",
    ]
    for _ in range(2):
        await running.get("/api/brain/crm/x", *sent)
        assert [f"{n}: {v}".rstrip() for n, v in clients(upstream)] == sent


async def test_order_case_repetition_and_bytes_of_an_answer_survive_and_nothing_is_invented(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    sent = (
        b"x-B: 2\r\nX-a: 1\r\nset-COOKIE: a=1; Path=/api/brain/crm/\r\nX-b: 3\r\n"
        b"Server: theirs\r\nX-Raw: \xff\xc3\xa9\r\nVary: A\r\nvary: B\r\nContent-Length: 2\r\n"
        b"Set-Cookie: b=2; Path=/api/brain/crm/\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    )
    upstream.answer = b"HTTP/1.1 299 Very \xe9\r\n" + sent + b"\r\nok"
    reply = await running.get("/api/brain/crm/x")
    assert reply.raw_head == b"HTTP/1.1 299 Very \xe9\r\n" + sent + b"Via: 1.1 brain\r\n\r\n"
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    reply = await running.get("/api/brain/crm/x")
    names = [name for name, _ in reply.fields]
    assert sorted(names) == ["Content-Length", "Date", "Via"]


@pytest.mark.parametrize("twice", [False, True])
async def test_hop_by_hop_fields_and_those_that_connection_names_are_removed(
    gateway: MakeGateway, upstream: RecordingUpstream, twice: bool
) -> None:
    running = await serving(gateway, upstream)
    connection = (
        ["Connection: close", "Connection: X-Named, x-OTHER"]
        if twice
        else ["Connection: X-Named ,close,, x-OTHER"]
    )
    await running.get(
        "/api/brain/crm/x",
        *connection,
        "X-Named: 1",
        "X-named: 2",
        "X-Other: 3",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "Proxy-Authenticate: Basic",
        "TE: gzip",
        "Trailer: X-T",
        "Upgrade: websocket",
        "HTTP2-Settings: x",
        "X-Kept: 4",
    )
    assert clients(upstream) == [("X-Kept", "4")]


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "Host", "X-Brain-Hops", "Forwarded", "X-Forwarded-Prefix"]
)
async def test_a_client_can_not_have_ours_removed_by_naming_them(
    gateway: MakeGateway, upstream: RecordingUpstream, name: str
) -> None:
    running = await serving(gateway, upstream)
    await running.get("/api/brain/crm/x", f"Connection: close, {name}")
    assert upstream.last.header(name)


async def test_trailers_are_asked_for_where_the_client_reads_them(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream)
    for sent in ("TE: trailers", "te: deflate;q=0.5, Trailers"):
        await running.get("/api/brain/crm/x", sent, "Connection: TE")
        assert clients(upstream) == [("Connection", "TE"), ("TE", "trailers")]
    for sent in ("TE: xtrailers", "X-TE: trailers", "TE:"):
        await running.get("/api/brain/crm/x", sent)
        assert upstream.last.header("TE") is None


@pytest.mark.parametrize("connection", [["X-Named"], ["X-Named", "close"], ["keep-alive, x-named"]])
async def test_an_answers_hop_by_hop_fields_are_removed_too(
    gateway: MakeGateway, upstream: RecordingUpstream, connection: list[str]
) -> None:
    running = await serving(gateway, upstream)
    lines = "".join(f"Connection: {value}\r\n" for value in connection)
    upstream.answer = (
        f"HTTP/1.1 200 OK\r\n{lines}X-Named: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n"
        "Proxy-Authenticate: Basic\r\nTrailer: X\r\nX-Kept: 2\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    reply = await running.get("/api/brain/crm/x")
    assert {name for name, _ in reply.fields} == {"X-Kept", "Content-Length", "Via", "Date"}


TWINS = [
    *("X_Forwarded_For", "X-Forwarded_For", "x_real_ip", "Forwarded_", "X_User_Id", "X_Tenant-Id"),
    *("Transfer_Encoding", "Content_Length", "Connection_", "X_Auth_Request", "X_Brain_Hops"),
    *("Host_", "Proxy_Connection", "X_Api_Key", "Cookie_", "X_Forwarded_User"),
]


@pytest.mark.parametrize("option", ["", "allow_underscore_headers: true"])
async def test_a_twin_of_a_protected_name_never_passes(
    gateway: MakeGateway, upstream: RecordingUpstream, option: str
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          crm:
            upstream: {upstream.url}
            public: true
            {option}
          guarded:
            upstream: {upstream.url}
            plugins:
              - api-key:
                  keys: [{{name: ada, sha256: "{"0" * 64}"}}]
        """
    )
    twins = [f"{name}: spoofed" for name in TWINS if not name.endswith("_")]
    await running.get("/api/brain/crm/x", *twins, "X-Kept: 1", "X-Api-Key: spoofed")
    assert clients(upstream) == [("X-Kept", "1")]


async def test_names_with_an_underscore_pass_where_the_route_says_so(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          strict: {{upstream: "{upstream.url}", public: true}}
          crm: {{upstream: "{upstream.url}", public: true, allow_underscore_headers: true}}
        """
    )
    for _ in range(2):
        for service, arrived in [("strict", []), ("crm", [("X_Custom", "1")])]:
            await running.get(f"/api/brain/{service}/x", "X_Custom: 1")
            assert clients(upstream) == arrived


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "\x7f", "\ud800"])
@pytest.mark.parametrize("place", ["request", "answer"])
async def test_a_plugin_can_not_put_a_line_break_on_the_wire(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Callable[[Behaviour], Behaviour],
    value: str,
    place: str,
) -> None:
    @behave
    async def unclean(request: web.BaseRequest, handler: Handler) -> Answer:
        if place == "request":
            request[EXCHANGE].outgoing.headers["X-A"] = value
            return await handler(request)
        answer = await handler(request)
        answer.headers["X-A"] = value
        return answer

    running = await serving(
        gateway,
        upstream,
        f"plugins: [{{use: '{HERE}:Behave', with: {{do: unclean}}, as: unclean}}]",
    )
    reply = await running.get("/api/brain/crm/x")
    assert (reply.status, json.loads(reply.body)["code"]) == (500, "plugin_failed")
    assert b"Evil" not in reply.raw_head
    assert len(upstream.seen) == (0 if place == "request" else 1)


@pytest.mark.parametrize(
    ("hops", "status"),
    [("7", 200), ("8", 508), ("9", 508), ("999", 508), ("junk", 200), ("-1", 200), ("", 200)],
)
async def test_a_request_that_passed_here_too_often_is_508(
    gateway: MakeGateway, upstream: RecordingUpstream, hops: str, status: int
) -> None:
    running = await serving(gateway, upstream)
    reply = await running.get("/api/brain/crm/x", f"X-Brain-Hops: {hops}", "X-Brain-Hops: 0")
    assert reply.status == status
    if status == 200:
        assert upstream.last.all("X-Brain-Hops") == [str(int(hops) + 1 if hops == "7" else 1)]
    else:
        assert json.loads(reply.body)["code"] == "loop_detected"


async def test_a_gateway_that_is_its_own_upstream_ends_the_loop(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    first = await gateway(
        f"""
        version: 1
        gateway: {{limits: {{hops: 3}}}}
        services:
          crm: {{upstream: "{upstream.url}", public: true}}
        """
    )
    first.path.write_text(
        f"""
version: 1
gateway: {{limits: {{hops: 3}}}}
fallback: {{upstream: "http://127.0.0.1:{first.port}", public: true}}
"""
    )
    assert await first.reload() is None
    reply = await first.get("/round/and/round")
    assert (reply.status, json.loads(reply.body)["code"]) == (508, "loop_detected")
    assert reply.all("Via") == ["1.1 brain"] * 3


async def test_via_is_added_to_answers_and_to_requests_where_asked(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    plain = await serving(gateway, upstream)
    upstream.answer = b"HTTP/1.1 200 OK\r\nVia: 1.0 theirs\r\nContent-Length: 0\r\n\r\n"
    reply = await plain.get("/api/brain/crm/x", "Via: 1.1 before")
    assert reply.all("Via") == ["1.0 theirs", "1.1 brain"]
    assert upstream.last.all("Via") == ["1.1 before"]
    asked = await serving(gateway, upstream, "via: true")
    await asked.get("/api/brain/crm/x", "Via: 1.1 before")
    assert upstream.last.all("Via") == ["1.1 before", "1.1 brain"]
