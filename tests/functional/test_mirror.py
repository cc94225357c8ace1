"""`mirror`: copies of requests, of which the client never notices anything."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Any

import pytest

from proxy import EXCHANGE
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request
from tests.functional.plugins_for_tests import HERE, Behaviour, entry

Behave = Callable[[Behaviour], Behaviour]


@pytest.fixture
async def other() -> AsyncIterator[RecordingUpstream]:
    server = RecordingUpstream()
    await server.start()
    yield server
    await server.close()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(3):
        while not true():
            await asyncio.sleep(0.005)


def shop(main: str, other: str, options: str = "", more: str = "", plugins: str = "") -> str:
    return (
        f"version: 1\nplugins: [metrics{plugins}]\n"
        f'services:\n  shop:\n    upstream: "{main}"\n    public: true\n'
        f'    mirror: {{upstream: "{other}", share: 100%{options}}}\n{more}'
    )


def counts(running: Gateway) -> Counter[str]:
    """Return the copies of all services by result."""
    found: Counter[str] = Counter()
    for (_, result), count in running.host.gateway.status().mirrored.items():
        found[result] += count
    return found


async def result(running: Gateway, target: str = "/api/brain/shop/x", *headers: str) -> str:
    """Ask once and return what came of the copy."""
    before = counts(running)
    await running.get(target, *headers)
    await until(lambda: counts(running) - before)
    ((found, count),) = (counts(running) - before).items()
    assert count == 1
    return found


def answer(body: bytes, *fields: str, status: int = 200) -> bytes:
    head = [f"HTTP/1.1 {status} Some", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


# -- what is sent


async def test_a_copy_is_what_the_upstream_got_and_says_that_it_is_one(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream
) -> None:
    running = await gateway(
        shop(f"{upstream.url}/v1", f"{other.url}/v2", more="    host: preserve\n")
    )
    reply = await running.get("/api/brain/shop/a%2Cb?q=%27", "X-A: 1", "X-Brain-Mirrored: 7")
    assert (reply.status, reply.body) == (200, b"ok")
    await until(lambda: counts(running)["same"])
    first, copy = upstream.last, other.last
    assert first.header("X-Brain-Mirrored") is None, "a client can't pass for a mirror"
    assert (first.target, copy.target) == ("/v1/a%2Cb?q=%27", "/v2/a%2Cb?q=%27")
    assert copy.all("X-Brain-Mirrored") == ["1"]
    assert copy.header("Host") == "gateway.test"
    assert [one for one in copy.fields if one[0] != "X-Brain-Mirrored"] == first.fields


async def test_no_plugin_can_say_that_a_request_is_a_copy(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def mark(asked: Any, handler: Any) -> Any:
        asked[EXCHANGE].outgoing.add_header("X-Brain-Mirrored", "1")

    running = await gateway(shop(upstream.url, other.url, plugins=f", {entry('mark')}"))
    assert (await running.get("/api/brain/shop/x")).status == 500


@pytest.mark.parametrize("framing", ["length", "chunked", "late"])
async def test_a_body_is_copied_as_it_goes_by_and_the_original_is_framed_as_ever(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream, framing: str
) -> None:
    running = await gateway(shop(upstream.url, other.url, ", methods: [POST]"))
    body = b"hello" * 1000
    client = await running.client()
    if framing == "chunked":
        client.send(request("/api/brain/shop/x", "Transfer-Encoding: chunked", method="POST"))
        client.send(b"1388\r\n" + body + b"\r\n0\r\n\r\n")
    elif framing == "late":
        client.send(request("/api/brain/shop/x", "Content-Length: 5000", method="POST"))
        for start in (0, 2500):
            await asyncio.sleep(0.02)
            client.send(body[start : start + 2500])
    else:
        client.send(request("/api/brain/shop/x", method="POST", body=body))
    assert (await client.reply()).status == 200
    await until(lambda: counts(running)["same"])
    assert upstream.last.body == other.last.body == body
    chunked = upstream.last.header("Transfer-Encoding") == "chunked"
    assert chunked == (framing == "chunked")
    assert other.last.header("Content-Length") == "5000"


async def test_a_body_that_a_plugin_makes_is_copied_as_the_upstream_gets_it(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def loud(asked: Any, handler: Any) -> Any:
        outgoing = asked[EXCHANGE].outgoing
        body = outgoing.body

        async def upper() -> AsyncIterator[bytes]:
            async for chunk in body:
                yield chunk.upper()

        outgoing.body = upper()
        return await handler(asked)

    running = await gateway(
        shop(upstream.url, other.url, ", methods: [POST]", plugins=f", {entry('loud')}")
    )
    await running.get("/api/brain/shop/x", method="POST", body=b"hello")
    await until(lambda: counts(running)["same"])
    assert upstream.last.body == other.last.body == b"HELLO"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_bound_passes_on_and_is_not_copied(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream, announced: bool
) -> None:
    running = await gateway(shop(upstream.url, other.url, ", methods: [POST], body: 4KiB"))
    body = b"x" * 5000
    client = await running.client()
    if announced:
        client.send(request("/api/brain/shop/x", method="POST", body=body))
    else:
        client.send(request("/api/brain/shop/x", "Transfer-Encoding: chunked", method="POST"))
        client.send(b"1388\r\n" + body + b"\r\n0\r\n\r\n")
    assert (await client.reply()).status == 200
    await until(lambda: counts(running) == {"skipped-body": 1})
    assert upstream.last.body == body
    assert other.seen == []


async def test_only_methods_that_change_nothing_are_copied_unless_others_are_named(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream
) -> None:
    running = await gateway(shop(upstream.url, other.url))
    for method in ("POST", "PUT", "DELETE", "PATCH", "GET", "HEAD", "OPTIONS"):
        await running.get("/api/brain/shop/x", method=method)
    await until(lambda: counts(running)["same"] == 3)
    assert sorted(seen.method for seen in other.seen) == ["GET", "HEAD", "OPTIONS"]


async def test_a_share_is_drawn_for_each_request(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    other: RecordingUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = await gateway(shop(upstream.url, other.url).replace("100%", "25%"))
    draws = iter([0.0, 0.24, 0.25, 0.9])
    (route,) = (one for one in running.host.gateway.snapshot.router.candidates("/api/brain/shop/x"))
    monkeypatch.setattr(route.route.mirror, "_chance", lambda: next(draws))
    for number in range(4):
        await running.get(f"/api/brain/shop/{number}")
    await until(lambda: counts(running)["same"] == 2)
    assert sorted(seen.target for seen in other.seen) == ["/0", "/1"]


# -- whose secrets are sent


CREDENTIALS = ("Authorization: Bearer x", "Cookie: a=b", "X-Api-Key: k", "X-Session-Id: s")


async def test_credentials_of_the_caller_and_of_the_upstream_stay_out_of_copies(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def secret(asked: Any, handler: Any) -> Any:
        outgoing = asked[EXCHANGE].outgoing
        outgoing.headers["X-Door"] = "open"
        outgoing.headers["Authorization"] = "Token injected"
        outgoing.set_query("opens", "yes")
        return await handler(asked)

    @behave
    async def plain(asked: Any, handler: Any) -> Any:
        asked[EXCHANGE].outgoing.add_header("X-Plain", "1")
        return await handler(asked)

    plugins = f", {entry('secret', stage='CREDENTIALS')}, {entry('plain')}"
    running = await gateway(shop(upstream.url, other.url, plugins=plugins))
    assert await result(running, "/api/brain/shop/x?a", *CREDENTIALS, "X-Kept: 1") == "same"
    assert upstream.last.header("X-Door") == "open"
    assert upstream.last.header("Cookie") == "a=b"
    assert upstream.last.target == "/x?a&opens=yes"
    names = {name.lower() for name, _ in other.last.fields}
    left_out = {"authorization", "cookie", "x-api-key", "x-session-id", "x-door"}
    assert not left_out & names
    assert {"x-kept", "x-plain"} <= names
    assert other.last.target == "/x?a"


async def test_an_upstream_that_is_trusted_as_much_gets_all(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def secret(asked: Any, handler: Any) -> Any:
        asked[EXCHANGE].outgoing.headers["Authorization"] = "Token injected"
        return await handler(asked)

    plugins = f", {entry('secret', stage='CREDENTIALS')}"
    running = await gateway(shop(upstream.url, other.url, ", credentials: true", plugins=plugins))
    await result(running, "/api/brain/shop/x", *CREDENTIALS)
    assert other.last.header("Authorization") == "Token injected"
    assert other.last.header("Cookie") == "a=b"
    assert other.last.header("X-Api-Key") == "k"


# -- what comes of it


@pytest.mark.parametrize(
    ("ours", "theirs", "compare", "expected"),
    [
        (answer(b"1"), answer(b"2"), "status", "same"),
        (answer(b"1"), answer(b"2", status=500), "status", "different-status"),
        (answer(b"1"), answer(b"2", status=500), "false", "sent"),
        (answer(b"1"), answer(b"2", status=500), "json", "different-status"),
        (answer(b'{"a": 1, "b": [2]}'), answer(b'{"b":[2.0],"a":1}'), "json", "same"),
        (answer(b'{"a": 1}'), answer(b'{"a": true}'), "json", "different-body"),
        (answer(b'{"a": 1}'), answer(b"<p>"), "json", "different-body"),
        (answer(b"<p>"), answer(b"<p>"), "json", "same"),
        (answer(b"<p>"), answer(b"<b>"), "json", "uncompared"),
        (answer(b"", status=204), answer(b"", status=204), "json", "same"),
        (
            answer(gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip"),
            answer(b'{"a":1}'),
            "json",
            "same",
        ),
        (answer(b"1", "Content-Encoding: who-knows"), answer(b"2"), "json", "uncompared"),
        (answer(b"[" + b"1," * 40000 + b"1]"), answer(b"[" + b"1," * 40000 + b"2]"), "json",
         "different-body"),
        (answer(b'"%b"' % (b"x" * 70000)), answer(b"1"), "json, answer: 64KiB", "uncompared"),
        (answer(b"1"), answer(b'"%b"' % (b"x" * 70000)), "json, answer: 64KiB", "uncompared"),
        (answer(b"data: 1\n\n", "Content-Type: text/event-stream"), answer(b"1"), "json",
         "uncompared"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n", answer(b"[1]"),
         "json", "same"),
        (answer(b"1"), b"nonsense\r\n\r\n", "json", "failed"),
    ],
)  # fmt: skip
async def test_two_answers_are_compared_and_counted(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    other: RecordingUpstream,
    ours: bytes,
    theirs: bytes,
    compare: str,
    expected: str,
) -> None:
    upstream.answer, other.answer = ours, theirs
    running = await gateway(shop(upstream.url, other.url, f", compare: {compare}"))
    assert await result(running) == expected


async def test_a_difference_is_told_by_pointers_and_never_by_values(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    other: RecordingUpstream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upstream.answer = answer(b'{"id": 1, "at": "old", "a/b": [{"x": "private"}], "more": 1}')
    other.answer = answer(b'{"id": 1, "at": "new", "a/b": [{"x": "hidden"}, 2]}')
    running = await gateway(
        shop(upstream.url, other.url, ", compare: json, ignore: [/at]", plugins=", request-id")
    )
    with caplog.at_level(logging.WARNING, "brain.mirror"):
        for _ in range(20):
            assert await result(running) == "different-body"
    (record,) = caplog.records
    told = record.getMessage()
    assert told == "mirror of 'shop': different-body, 200 became 200 at /a~1b/0/x, /a~1b/1, /more"
    assert record.__dict__["request_id"]
    assert "private" not in json.dumps(record.__dict__, default=str)
    page = (await running.admin("/metrics")).body.decode()
    assert 'brain_mirror_requests_total{result="different-body",service="shop"} 20.0' in page


async def test_the_answer_is_compared_as_the_upstream_gave_it_and_not_as_plugins_made_it(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def wrap(asked: Any, handler: Any) -> Any:
        made = await handler(asked)
        made.replace(b"[" + await made.read(1000) + b"]")
        return made

    upstream.answer = other.answer = answer(b'{"a": 1}')
    running = await gateway(
        shop(upstream.url, other.url, ", compare: json", plugins=f", {entry('wrap')}")
    )
    assert (await running.get("/api/brain/shop/x")).body == b'[{"a": 1}]'
    await until(lambda: counts(running) == {"same": 1})


async def test_an_original_that_breaks_off_is_not_compared(
    gateway: MakeGateway, raw_upstream: Any, other: RecordingUpstream
) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1")
        await writer.drain()
        await asyncio.sleep(0.05)

    server = await raw_upstream(broken)
    running = await gateway(shop(server.url, other.url, ", compare: json"))
    client = await running.client()
    client.send(request("/api/brain/shop/x"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.reply()
    await until(lambda: counts(running) == {"uncompared": 1})


# -- what it must not do


async def test_a_mirror_that_hangs_slows_nobody_and_is_given_up(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream
) -> None:
    other.hold = asyncio.Event()
    running = await gateway(shop(upstream.url, other.url, ", timeout: 300ms, concurrent: 2"))
    client = await running.client()
    started = perf_counter()
    for _ in range(10):
        client.send(request("/api/brain/shop/x"))
        assert (await client.reply()).status == 200
    assert perf_counter() - started < 0.25
    assert counts(running) == {"skipped-busy": 8}
    await until(lambda: counts(running)["failed"] == 2)
    other.hold.set()
    assert await result(running) == "same"


async def test_a_mirror_that_is_away_is_counted_and_not_noticed(
    gateway: MakeGateway, upstream: RecordingUpstream, unused_tcp_port: int
) -> None:
    running = await gateway(shop(upstream.url, f"http://127.0.0.1:{unused_tcp_port}"))
    assert await result(running) == "failed"
    assert (await running.get("/api/brain/shop/x")).status == 200


async def test_copies_wait_for_no_connection(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream
) -> None:
    other.hold = asyncio.Event()
    running = await gateway(
        shop(upstream.url, "x").replace('"x"', f'{{url: "{other.url}", concurrent: 1}}')
    )
    for _ in range(3):
        await running.get("/api/brain/shop/x")
    await until(lambda: counts(running) == {"skipped-busy": 2})
    other.hold.set()
    await until(lambda: counts(running)["same"] == 1)


async def test_what_never_reached_the_upstream_is_not_copied(
    gateway: MakeGateway,
    other: RecordingUpstream,
    upstream: RecordingUpstream,
    unused_tcp_port: int,
    behave: Behave,
) -> None:
    @behave
    async def refuse(asked: Any, handler: Any) -> Any:
        raise PermissionError

    more = (
        f"    routes:\n      - {{match: {{path: /refused}}, plugins: [{entry('refuse')}]}}\n"
        f"  dead:\n    upstream: http://127.0.0.1:{unused_tcp_port}\n    public: true\n"
        f'    mirror: {{upstream: "{other.url}", share: 100%}}\n'
        f'  closed:\n    upstream: "{upstream.url}"\n'
        f'    plugins: [{{use: "{HERE}:Token", as: token, with: {{header: X-Token}}}}]\n'
        f'    mirror: {{upstream: "{other.url}", share: 100%}}\n'
    )
    running = await gateway(shop(upstream.url, other.url, more=more))
    for target, status in (("shop/refused", 500), ("dead/x", 502), ("closed/x", 401)):
        assert (await running.get(f"/api/brain/{target}")).status == status
    assert await result(running) == "same"
    assert [seen.target for seen in other.seen] == ["/x"]
    found = running.host.gateway.snapshot.router.candidates("/api/brain/dead/x")
    assert [one.route.mirror.in_flight for one in found if one.route.mirror] == [0]


async def test_upgrades_and_what_a_split_sent_there_already_are_not_copied(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream
) -> None:
    split = f'    split: [{{upstream: "{other.url}", header: {{X-Canary: "1"}}}}]\n'
    running = await gateway(shop(upstream.url, other.url, more=split))
    await running.get("/api/brain/shop/x", "X-Canary: 1")
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    assert (await running.get("/api/brain/shop/ws", *upgrade, key)).status == 200
    assert await result(running, "/api/brain/shop/y") == "same"
    assert [seen.target for seen in other.seen] == ["/x", "/y"]
    assert [seen.target for seen in upstream.seen] == ["/ws", "/y"]


async def test_a_handler_that_is_called_twice_is_copied_once(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream, behave: Behave
) -> None:
    @behave
    async def again(asked: Any, handler: Any) -> Any:
        await handler(asked)
        return await handler(asked)

    running = await gateway(shop(upstream.url, other.url, plugins=f", {entry('again')}"))
    assert await result(running) == "same"
    assert (len(upstream.seen), len(other.seen)) == (2, 1)


async def test_a_body_that_is_sent_again_is_copied_once_and_whole(
    gateway: MakeGateway, raw_upstream: Any, other: RecordingUpstream
) -> None:
    tries: list[bytes] = []

    async def second_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        tries.append(await reader.readexactly(10))
        if len(tries) > 1:
            writer.write(answer(b"ok"))

    server = await raw_upstream(second_time)
    running = await gateway(shop(server.url, other.url, ", methods: [PUT]"))
    client = await running.client()
    client.send(request("/api/brain/shop/x", "Content-Length: 10", method="PUT"))
    await asyncio.sleep(0.05)
    client.send(b"0123456789")
    assert (await client.reply()).status == 200
    await until(lambda: counts(running) == {"same": 1})
    assert tries == [b"0123456789"] * 2
    assert [seen.body for seen in other.seen] == [b"0123456789"]


async def test_copies_outlive_their_requests_and_a_reload_and_are_cut_at_the_end(
    gateway: MakeGateway, upstream: RecordingUpstream, other: RecordingUpstream
) -> None:
    other.hold = asyncio.Event()
    running = await gateway(shop(upstream.url, other.url))
    await running.get("/api/brain/shop/x")
    await until(lambda: other.seen)
    running.path.write_text(shop(upstream.url, other.url, ", timeout: 20s"))
    assert await running.reload() is None
    other.hold.set()
    await until(lambda: counts(running)["same"] == 1)
    other.hold = asyncio.Event()
    await running.get("/api/brain/shop/y")
    await until(lambda: len(other.seen) == 2)
    started = perf_counter()
    await running.stop()
    assert perf_counter() - started < 2
