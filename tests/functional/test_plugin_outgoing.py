"""`Outgoing`: the request as the upstream will see it, edited by plugins (rows 1, 12, 14)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from proxy import EXCHANGE, Answer, GatewayError, Handler, Outgoing
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream, request
from tests.functional.plugins_for_tests import Behaviour, public

Behave = Callable[[Behaviour], Behaviour]
Edit = Callable[[Outgoing], Any]


def edit(behave: Behave, deed: Edit) -> None:
    """Register `plugin`, which does `deed` to the outgoing request."""

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        done = deed(asked[EXCHANGE].outgoing)
        if done is not None:
            await done
        return await handler(asked)


async def through(
    gateway: MakeGateway, upstream: RecordingUpstream, target: str = "/x", *headers: str, **how: Any
) -> int:
    running = await gateway(public(upstream.url, "plugin"))
    return (await running.get(f"/api/brain/echo{target}", *headers, **how)).status


async def test_headers_are_set_added_and_removed_and_keep_their_case(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    def deed(outgoing: Outgoing) -> None:
        outgoing.headers["X-Set"] = "new"
        outgoing.headers.add("x-TWICE", "2")
        outgoing.headers.popall("X-Gone")
        outgoing.add_header("X-Appended", "last")

    edit(behave, deed)
    await through(gateway, upstream, "/x", "x-set: old", "X-Twice: 1", "X-Gone: 1", "oDD: Case")
    assert upstream.last.all("X-Set") == ["new"]
    assert upstream.last.all("X-Twice") == ["1", "2"]
    assert upstream.last.header("X-Gone") is None
    assert upstream.last.header("X-Appended") == "last"
    assert b"\r\noDD: Case\r\n" in upstream.last.raw_head
    assert b"\r\nx-TWICE: 2\r\n" in upstream.last.raw_head


async def test_a_header_that_is_appended_leaves_the_others_on_their_raw_way(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    seen: list[str | None] = []

    def deed(outgoing: Outgoing) -> None:
        outgoing.add_header("X-New", "1")
        seen.append(outgoing.header("oDD"))

    edit(behave, deed)
    await through(gateway, upstream, "/x", "oDD: Case", "X-Bytes: \xff\xfe")
    assert seen == ["Case"]
    assert b"X-Bytes: \xff\xfe\r\n" in upstream.last.raw_head
    assert b"X-New: 1\r\n" in upstream.last.raw_head


UNCLEAN: list[tuple[str, Edit]] = [
    (f"{name}-{way}", lambda outgoing, value=value, deed=deed: deed(outgoing, value))
    for name, value in {"cr": "a\rb", "lf": "a\nEvil: 1", "nul": "a\0", "number": 7}.items()
    for way, deed in {
        "set": lambda outgoing, value: outgoing.headers.__setitem__("X-A", value),
        "add": lambda outgoing, value: outgoing.headers.add("X-A", value),
        "append": lambda outgoing, value: outgoing.add_header("X-A", value),
        "update": lambda outgoing, value: outgoing.headers.update({"X-A": value}),
        "extend": lambda outgoing, value: outgoing.headers.extend([("X-A", value)]),
        "setdefault": lambda outgoing, value: outgoing.headers.setdefault("X-A", value),
        "merge": lambda outgoing, value: outgoing.headers.merge({"X-A": value}),
    }.items()
] + [
    ("name", lambda outgoing: outgoing.add_header("X A", "1")),
    ("target", lambda outgoing: setattr(outgoing, "target", "/x HTTP/1.1\r\nEvil: 1\r\n")),
    ("space", lambda outgoing: setattr(outgoing, "target", "/a b")),
    ("relative", lambda outgoing: setattr(outgoing, "target", "x")),
    ("method", lambda outgoing: setattr(outgoing, "method", "GET /x")),
]


@pytest.mark.parametrize("deed", [pytest.param(deed, id=name) for name, deed in UNCLEAN])
async def test_what_is_unclean_fails_at_the_line_that_sets_it(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, deed: Edit
) -> None:
    raised: list[type[Exception]] = []

    def careful(outgoing: Outgoing) -> None:
        with pytest.raises((ValueError, TypeError)) as told:
            deed(outgoing)
        raised.append(told.type)
        assert "Evil" not in str(told.value), "a message never repeats the value"

    edit(behave, careful)
    assert await through(gateway, upstream) == 200
    assert len(raised) == 1
    assert b"X-A" not in upstream.last.raw_head
    assert b"Evil" not in upstream.last.raw_head


GATEWAYS_OWN = {
    "Content-Length": "0",
    "Transfer-Encoding": "chunked",
    "Host": "other.test",
    "Connection": "x",
    "Keep-Alive": "timeout=1",
    "Proxy-Authorization": "Basic x",
    "TE": "trailers",
    "Trailer": "X-A",
    "Expect": "100-continue",
    "uPGRADE": "websocket",
    "X-Brain-Hops": "0",
}
WAYS: dict[str, Callable[[Outgoing, str, str], Any]] = {
    "append": lambda outgoing, name, value: outgoing.add_header(name, value),
    "append-late": lambda outgoing, name, value: (
        outgoing.headers,
        outgoing.add_header(name, value),
    ),
    "set": lambda outgoing, name, value: outgoing.headers.__setitem__(name, value),
    "add": lambda outgoing, name, value: outgoing.headers.add(name, value),
    "update": lambda outgoing, name, value: outgoing.headers.update({name: value}),
    "extend": lambda outgoing, name, value: outgoing.headers.extend([(name, value)]),
    "setdefault": lambda outgoing, name, value: outgoing.headers.setdefault(name, value),
    "merge": lambda outgoing, name, value: outgoing.headers.merge({name: value}),
}


@pytest.mark.parametrize("name", GATEWAYS_OWN)
async def test_a_plugin_can_not_frame_or_aim_what_is_sent_by_headers(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, name: str
) -> None:
    """Rows 1 and 8: a second framing beside the gateway's own would smuggle a request."""
    told: list[str] = []

    def deed(outgoing: Outgoing) -> None:
        for way in WAYS.values():
            with pytest.raises(ValueError, match="the gateway") as refused:
                way(outgoing, name, GATEWAYS_OWN[name])
            told.append(str(refused.value))
        assert name not in outgoing.headers
        assert outgoing.header(name) is None
        assert outgoing.headers.popall(name, None) is None

    edit(behave, deed)
    assert await through(gateway, upstream, method="POST", body=b"hello") == 200
    assert len(told) == len(WAYS)
    assert len(set(told)) == 1, "each way says the same"
    assert name in told[0]
    seen = upstream.last
    assert seen.body == b"hello"
    assert seen.all("Content-Length") == ["5"]
    assert seen.all("Host") == [f"127.0.0.1:{upstream.port}"]
    assert len(seen.all("X-Brain-Hops")) == 1
    if name.title() not in ("Content-Length", "Host", "X-Brain-Hops"):
        assert seen.all(name) == []


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("Content-Length", "replace()"), ("host", "the route's `host`"), ("TE", "one connection")],
)
async def test_a_refused_header_fails_closed_and_the_log_tells_the_right_way(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
    name: str,
    remedy: str,
) -> None:
    edit(behave, lambda outgoing: outgoing.add_header(name, "0"))
    assert await through(gateway, upstream) == 500
    assert upstream.seen == []
    assert remedy in caplog.text


async def test_method_target_and_query_are_edited(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    views: list[tuple[str, str]] = []

    def deed(outgoing: Outgoing) -> None:
        views.append((outgoing.path, outgoing.query))
        outgoing.method = "REPORT"
        outgoing.target = "/other%2e/%zz" + "?" + outgoing.query
        outgoing.set_query("b", "new & shiny")
        outgoing.set_query("gone", None)

    edit(behave, deed)
    await through(gateway, upstream, "/x?a=%27&b=1&gone&%62=2&c=%zz")
    assert views == [("/x", "a=%27&b=1&gone&%62=2&c=%zz")]
    assert upstream.last.method == "REPORT"
    assert upstream.last.target == "/other%2e/%zz?a=%27&c=%zz&b=new+%26+shiny"


async def test_a_wrapped_body_is_sent_chunked(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    async def shout(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in body:
            yield chunk.upper()
        yield b"!"

    def deed(outgoing: Outgoing) -> None:
        assert outgoing.body is not None
        outgoing.body = shout(outgoing.body)

    edit(behave, deed)
    await through(gateway, upstream, method="POST", body=b"hello")
    assert upstream.last.body == b"HELLO!"
    assert upstream.last.header("Transfer-Encoding") == "chunked"
    assert upstream.last.header("Content-Length") is None


async def test_a_body_that_was_only_looked_at_arrives_whole(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    edit(behave, lambda outgoing: None if outgoing.body is not None else 1 / 0)
    await through(gateway, upstream, method="POST", body=b"hello")
    assert upstream.last.body == b"hello"
    assert len(upstream.last.all("Content-Length") + upstream.last.all("Transfer-Encoding")) == 1


async def test_a_body_that_was_read_is_sent_with_its_length(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    read: list[bytes] = []

    async def deed(outgoing: Outgoing) -> None:
        read.append(await outgoing.read(100))
        read.append(await outgoing.read(100))
        assert outgoing.replayable

    edit(behave, deed)
    await through(gateway, upstream, method="POST", body=b"hello")
    assert read == [b"hello", b"hello"]
    assert upstream.last.body == b"hello"
    assert upstream.last.all("Content-Length") == ["5"]


async def test_a_request_without_a_body_reads_as_empty(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    async def deed(outgoing: Outgoing) -> None:
        assert outgoing.body is None
        assert await outgoing.read(0) == b""

    edit(behave, deed)
    assert await through(gateway, upstream) == 200
    assert upstream.last.all("Content-Length") == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_of_a_read_is_413_and_never_reaches_the_upstream(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave, chunked: bool
) -> None:
    async def deed(outgoing: Outgoing) -> None:
        await outgoing.read(4)

    edit(behave, deed)
    running = await gateway(public(upstream.url, "plugin"))
    if chunked:
        raw = request("/api/brain/echo/", "Transfer-Encoding: chunked", method="POST")
        reply = await running.ask(raw + b"5\r\nhello\r\n0\r\n\r\n")
    else:
        reply = await running.get("/api/brain/echo/", method="POST", body=b"hello")
    assert reply.status == 413
    assert b"body_too_large" in reply.body
    assert upstream.seen == []


async def test_a_body_too_large_to_read_may_still_be_sent_whole(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    async def deed(outgoing: Outgoing) -> None:
        with pytest.raises(GatewayError, match="body_too_large"):
            await outgoing.read(4)

    edit(behave, deed)
    running = await gateway(public(upstream.url, "plugin"))
    raw = request("/api/brain/echo/", "Transfer-Encoding: chunked", method="POST")
    client = await running.client()
    client.send(raw + b"3\r\nhel\r\n")
    client.send(b"3\r\nlo,\r\n")
    client.send(b"6\r\n world\r\n0\r\n\r\n")
    assert (await client.reply()).status == 200
    assert upstream.last.body == b"hello, world"


async def test_an_announced_length_over_the_limit_is_refused_before_the_client_sends(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    async def deed(outgoing: Outgoing) -> None:
        await outgoing.read(4)

    edit(behave, deed)
    running = await gateway(public(upstream.url, "plugin"))
    client = await running.client()
    client.send(
        request("/api/brain/echo/", "Expect: 100-continue", "Content-Length: 5", method="POST")
    )
    assert (await client.head()).status == 413, "no 100 Continue came before"


async def test_reading_the_body_asks_the_client_to_send_it(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    async def deed(outgoing: Outgoing) -> None:
        await outgoing.read(100)

    edit(behave, deed)
    running = await gateway(public(upstream.url, "plugin"))
    client = await running.client()
    client.send(
        request("/api/brain/echo/", "Expect: 100-continue", "Content-Length: 5", method="POST")
    )
    assert (await client.head()).status == 100
    client.send(b"hello")
    assert (await client.reply()).status == 200
    assert upstream.last.body == b"hello"


async def test_a_chain_that_answers_without_reading_sends_no_100(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        return Answer(status=200, body=b"no need")

    running = await gateway(public(upstream.url, "plugin"))
    client = await running.client()
    client.send(
        request("/api/brain/echo/", "Expect: 100-continue", "Content-Length: 5", method="POST")
    )
    reply = await client.reply()
    assert (reply.status, reply.body) == (200, b"no need")
    assert reply.header("Connection") == "close"


async def test_a_replaced_body_has_its_own_length_and_drops_what_spoke_of_the_old_one(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    edit(behave, lambda outgoing: outgoing.replace(b'{"a": 1}', "application/json"))
    headers = ("Content-Type: text/plain", "Content-Encoding: gzip", "Digest: sha-256=x", "X-A: 1")
    await through(gateway, upstream, "/x", *headers, method="POST", body=b"hello")
    assert upstream.last.body == b'{"a": 1}'
    assert upstream.last.all("Content-Length") == ["8"]
    assert upstream.last.all("Content-Type") == ["application/json"]
    assert upstream.last.header("Content-Encoding") is None
    assert upstream.last.header("Digest") is None
    assert upstream.last.header("X-A") == "1"


@pytest.mark.parametrize("way", ["read", "json", "post", "text", "multipart"])
async def test_aiohttps_own_body_readers_raise_and_name_the_way_that_works(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        await getattr(asked, way)()
        return await handler(asked)

    assert await through(gateway, upstream, method="POST", body=b"{}") == 500
    assert f"request.{way}() would take the body" in caplog.text
    assert "outgoing.read(limit)" in caplog.text
    assert upstream.seen == []


async def test_what_the_client_sent_stays_as_it_was(
    gateway: MakeGateway, upstream: RecordingUpstream, behave: Behave
) -> None:
    kept: list[Any] = []

    @behave
    async def plugin(asked: web.BaseRequest, handler: Handler) -> Answer:
        asked[EXCHANGE].outgoing.headers["X-A"] = "edited"
        asked[EXCHANGE].outgoing.target = "/other"
        answer = await handler(asked)
        kept.append((asked.headers["X-A"], asked.path_qs))
        return answer

    await through(gateway, upstream, "/x?y", "X-A: sent")
    assert kept == [("sent", "/api/brain/echo/x?y")]
    assert upstream.last.header("X-A") == "edited"


async def test_identity_headers_and_what_a_plugin_protects_never_pass_on_any_route(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    """Row 10: also under names with an underscore, which alias a dash under WSGI."""
    guard = (
        '{use: "tests.functional.plugins_for_tests:Behave", as: guard, '
        "with: {do: guard, protects: [x-mine, x_odd]}}"
    )
    running = await gateway(
        f"""
        version: 1
        services:
          guarded: {{upstream: "{upstream.url}", public: true, plugins: [{guard}]}}
          other: {{upstream: "{upstream.url}", public: true}}
          lenient: {{upstream: "{upstream.url}", public: true, allow_underscore_headers: true}}
        """
    )
    names = ["X-User-Id", "X-Tenant-Id", "X-Auth-Token", "X-Forwarded-User", "X-Mine", "X-Odd"]
    sent = [f"{name}: spoofed" for name in (*names, *(name.replace("-", "_") for name in names))]
    for service in ("guarded", "other", "lenient"):
        await running.get(f"/api/brain/{service}/", *sent, "X-Kept: 1", "X_Kept: 2")
        assert b"spoofed" not in upstream.last.raw_head
        assert upstream.last.header("X-Kept") == "1"
        assert (upstream.last.header("X_Kept") == "2") == (service == "lenient")
