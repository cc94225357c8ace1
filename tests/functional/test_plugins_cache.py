"""cache on a real gateway, in front of a scripted upstream that counts what it is asked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from tests.functional.bodykit import gone, until
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Script, request
from tests.functional.plugins_for_tests import HERE, Behaviour

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Behave = Callable[[Behaviour], Behaviour]

PATH = "/api/brain/echo/x"
KEYS = {"alice": "a" * 32, "bob": "b" * 32}


def made_of(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body


def file_of(url: str, options: str = "{}", *lines: str) -> str:
    own = "".join(f"\n    {line}" for line in lines)
    return (
        f"version: 1\nplugins: [{{cache: {options}}}, metrics]\n"
        f'services:\n  echo:\n    upstream: "{url}"\n    public: true{own}\n'
    )


async def start(gateway: MakeGateway, url: str, options: str = "{}", *lines: str) -> Gateway:
    return await gateway(file_of(url, options, *lines))


def status_of(reply: object) -> str:
    return (reply.header("Cache-Status") or "").removeprefix("brain; ")  # type: ignore[attr-defined]


async def metric(running: Gateway, name: str) -> float:
    text = (await running.admin("/metrics")).body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.rpartition(" ")[2])


async def test_a_fresh_answer_is_served_without_the_upstream(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    fields = ("Cache-Control: max-age=60", "oDD: Case", "X-Two: 1", "X-Two: 2")
    upstream.answer = made_of(b"hello", *fields)
    running = await start(gateway, upstream.url)
    first = await running.get(PATH + "?a=%27")
    assert status_of(first) == "fwd=uri-miss; stored; ttl=60"
    again = await running.get(PATH + "?a=%27")
    assert status_of(again) == "hit; ttl=60"
    assert (again.status, again.body, again.header("Age")) == (200, b"hello", "0")
    assert again.all("X-Two") == ["1", "2"]
    assert b"\r\noDD: Case\r\n" in again.raw_head
    assert again.all("Date") == first.all("Date")
    assert again.all("Content-Length") == ["5"]
    assert len(upstream.seen) == 1
    for other in (PATH + "?a='", PATH + "?", PATH):
        assert status_of(await running.get(other)).startswith("fwd=uri-miss")


async def test_hits_keep_their_connection_and_head_has_no_body(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    client = await running.client()
    for method in ("GET", "GET", "HEAD", "GET"):
        client.send(request(PATH, method=method))
        reply = await client.reply(head_only=method == "HEAD")
        assert reply.all("Content-Length") == ["5"]
        assert reply.body == (b"" if method == "HEAD" else b"hello")
    assert status_of(reply).startswith("hit")
    assert len(upstream.seen) == 1


@pytest.mark.parametrize(
    "fields",
    [
        ["Cache-Control: no-store"],
        ["Cache-Control: private, max-age=60"],
        ["Cache-Control: max-age=60", "Set-Cookie: a=1"],
        ["Cache-Control: max-age=60", "Vary: *"],
        [],
    ],
    ids=str,
)
async def test_such_an_answer_is_asked_for_each_time(
    gateway: MakeGateway, upstream: RecordingUpstream, fields: list[str]
) -> None:
    upstream.answer = made_of(b"hello", *fields)
    running = await start(gateway, upstream.url)
    for _ in range(3):
        assert status_of(await running.get(PATH)) == "fwd=uri-miss"
    assert len(upstream.seen) == 3


async def test_a_range_and_a_get_with_a_body_are_the_upstreams_alone(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    for _ in range(2):
        assert status_of(await running.get(PATH, "Range: bytes=0-1")) == ""
        assert status_of(await running.get(PATH, body=b"which?")) == ""
        assert upstream.last.body == b"which?"
    assert len(upstream.seen) == 5


async def test_what_vary_names_keeps_answers_apart(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream.url)
    for language in ("de", "fr", "de", "fr"):
        upstream.answer = made_of(
            language.encode(), "Cache-Control: max-age=60", "Vary: Accept-Language"
        )
        reply = await running.get(PATH, f"Accept-Language: {language}")
        assert reply.body == language.encode()
    assert len(upstream.seen) == 2


async def test_hosts_and_aliases_are_kept_apart(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(
        b"", "Cache-Control: public, max-age=60", "Location: /y", status="301 Moved"
    )
    running = await start(gateway, upstream.url, "{}", "aliases: [other]")
    for path in (PATH, "/api/brain/other/x"):
        for _ in range(2):
            reply = await running.get(path)
            assert reply.header("Location") == path.replace("/x", "/y")
    raw = request(PATH).replace(b"gateway.test", b"another.test")
    assert status_of(await running.ask(raw)).startswith("fwd=uri-miss")
    assert len(upstream.seen) == 3


# -- for whom


@pytest.mark.parametrize("sent", ["Authorization: Basic x", "Cookie: session=1", "X-Api-Key: x"])
@pytest.mark.parametrize("control", ["max-age=60", "public, max-age=60", "s-maxage=60"])
async def test_credentials_that_nobody_proved_share_only_what_is_public(
    gateway: MakeGateway, upstream: RecordingUpstream, sent: str, control: str
) -> None:
    upstream.answer = made_of(b"hello", f"Cache-Control: {control}")
    running = await start(gateway, upstream.url, "{}", "forward_cookies: all")
    await running.get(PATH, sent)
    shared = control != "max-age=60"
    assert status_of(await running.get(PATH, sent)).startswith("hit") is shared
    assert status_of(await running.get(PATH)).startswith("hit") is shared
    assert status_of(await running.get(PATH, sent)).startswith("hit") is shared


async def closed(gateway: MakeGateway, url: str) -> Gateway:
    keys = ", ".join(
        f"{{name: {name}, sha256: {hashlib.sha256(key.encode()).hexdigest()}}}"
        for name, key in KEYS.items()
    )
    return await gateway(
        f"""
        version: 1
        plugins: [cache, {{api-key: {{keys: [{keys}]}}}}]
        services:
          echo: {{upstream: "{url}"}}
        """
    )


@pytest.mark.parametrize("shared", [False, True])
async def test_principals_are_kept_apart_unless_the_upstream_says_public(
    gateway: MakeGateway, upstream: RecordingUpstream, shared: bool
) -> None:
    running = await closed(gateway, upstream.url)
    for name, key in KEYS.items():
        upstream.answer = made_of(name.encode(), f"Cache-Control: {'public,' * shared}max-age=60")
        await running.get(PATH, f"X-Api-Key: {key}")
    for name, key in KEYS.items():
        reply = await running.get(PATH, f"X-Api-Key: {key}")
        assert status_of(reply).startswith("hit")
        assert reply.body.decode() == ("alice" if shared else name)
    assert len(upstream.seen) == (1 if shared else 2)


@pytest.mark.parametrize("sent", [[], ["X-Api-Key: wrong"]])
async def test_a_hit_bypasses_no_authenticator(
    gateway: MakeGateway, upstream: RecordingUpstream, sent: list[str]
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: public, max-age=60")
    running = await closed(gateway, upstream.url)
    await running.get(PATH, f"X-Api-Key: {KEYS['alice']}")
    reply = await running.get(PATH, *sent)
    assert reply.status == 401
    assert status_of(reply) == ""


async def test_what_a_plugin_further_in_makes_of_each_caller_is_kept_apart(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    keys = ", ".join(
        f"{{name: {name}, sha256: {hashlib.sha256(key.encode()).hexdigest()}}}"
        for name, key in KEYS.items()
    )
    running = await gateway(
        f"""
        version: 1
        plugins:
          - api-key: {{keys: [{keys}]}}
          - cache
          - headers:
              request: {{set: {{X-Caller: "${{principal.subject}}"}}}}
              response: {{set: {{X-For: "${{principal.subject}}"}}}}
        services:
          echo: {{upstream: "{upstream.url}"}}
        """
    )
    for name, key in [*KEYS.items(), *KEYS.items()]:
        reply = await running.get(PATH, f"X-Api-Key: {key}")
        assert reply.header("X-For") == name
    assert [seen.header("X-Caller") for seen in upstream.seen] == ["alice", "bob"]


# -- revalidation


async def test_a_stale_answer_is_revalidated_and_a_304_freshens_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    modified = "Sun, 06 Nov 1994 08:49:37 GMT"
    upstream.answer = made_of(
        b"hello", "Cache-Control: max-age=0", 'ETag: "a"', f"Last-Modified: {modified}"
    )
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    upstream.answer = (
        b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nCache-Control: max-age=60\r\nX-New: 1\r\n\r\n'
    )
    again = await running.get(PATH, 'If-None-Match: "mine"')
    assert (again.status, again.body, again.header("X-New")) == (200, b"hello", "1")
    assert status_of(again) == "fwd=stale; fwd-status=304; ttl=60"
    assert upstream.last.all("If-None-Match") == ['"a"']
    assert upstream.last.all("If-Modified-Since") == [modified]
    assert status_of(await running.get(PATH)) == "hit; ttl=60"
    assert len(upstream.seen) == 2


async def test_a_clients_own_condition_is_answered_from_the_cache(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(
        b"hello", "Cache-Control: max-age=60", 'ETag: "a"', "Content-Type: text/plain"
    )
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    client = await running.client()
    for _ in range(2):
        client.send(request(PATH, 'If-None-Match: W/"a"'))
        reply = await client.reply()
        assert (reply.status, reply.header("ETag")) == (304, '"a"')
        assert reply.header("Content-Length") is None
        assert reply.header("Transfer-Encoding") is None
    assert (await running.get(PATH, 'If-None-Match: "b"')).body == b"hello"
    assert len(upstream.seen) == 1


# -- errors


async def test_a_stale_answer_stands_in_for_a_503(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=0, stale-if-error=60", 'ETag: "a"')
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    upstream.answer = made_of(b"x" * 100_000, status="503 Busy")
    for _ in range(2):
        reply = await running.get(PATH)
        assert (reply.status, reply.body) == (200, b"hello")
        assert status_of(reply).startswith("fwd=stale; fwd-status=503; detail=stale-if-error")
    assert running.host.gateway.status().upstreams[0].in_flight == 0
    upstream.answer = made_of(b"newer", "Cache-Control: max-age=60")
    assert (await running.get(PATH)).body == b"newer"


async def test_a_stale_answer_stands_in_for_a_refused_connection(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Connection: close")
    running = await start(gateway, upstream.url, "{stale_if_error: 60s}")
    await running.get(PATH)
    await upstream.close()
    reply = await running.get(PATH)
    assert (reply.status, reply.body) == (200, b"hello")
    assert status_of(reply).startswith("fwd=stale; detail=stale-if-error")
    refused = await running.get(PATH, "Cache-Control: no-cache")
    assert refused.status == 502
    assert json.loads(refused.body)["code"] == "upstream_connect_refused"


async def test_only_if_cached_is_504_with_its_code(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream.url)
    reply = await running.get(PATH, "Cache-Control: only-if-cached")
    assert (reply.status, json.loads(reply.body)["code"]) == (504, "not_cached")
    assert upstream.seen == []


# -- changes and bounds


async def test_a_post_drops_what_is_stored_for_its_address(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    await running.get(PATH + "/other")
    await running.get(PATH, method="POST", body=b"change")
    assert status_of(await running.get(PATH)).startswith("fwd=uri-miss")
    assert status_of(await running.get(PATH + "/other")).startswith("hit")


async def test_the_bound_holds_and_the_least_recently_used_goes(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"x" * 10_000, "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url, "{max_size: 64KiB, max_entry: 16KiB}")
    for number in range(4):
        await running.get(f"{PATH}{number}")
    assert status_of(await running.get(f"{PATH}0")).startswith("hit")
    for number in range(4, 9):
        await running.get(f"{PATH}{number}")
        assert status_of(await running.get(f"{PATH}0")).startswith("hit")
        assert await metric(running, "brain_cache_bytes") <= 64 * 1024
    assert status_of(await running.get(f"{PATH}1")).startswith("fwd=uri-miss")
    assert await metric(running, "brain_cache_evicted_total") > 0
    assert await metric(running, "brain_cache_entries") == 5


# -- bodies


def streaming(*parts: bytes, head: bytes, gates: list[asyncio.Event]) -> Script:
    """Return a script that sends each part when its gate is open, one request a connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        for part, gate in zip(parts, gates, strict=True):
            await gate.wait()
            writer.write(part)
        await writer.drain()

    return script


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_the_first_bytes_are_there_before_the_last_and_the_whole_is_stored(
    gateway: MakeGateway, raw_upstream: MakeUpstream, framing: str
) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    start_of = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Digest: x\r\n"
    if framing == "length":
        head, parts = start_of + b"Content-Length: 10\r\n\r\n", (b"hello", b"world")
    else:
        head = start_of + b"Transfer-Encoding: chunked\r\n\r\n"
        parts = (b"5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n")
    server = await raw_upstream(streaming(*parts, head=head, gates=gates))
    running = await start(gateway, server.url)
    client = await running.client()
    client.send(request(PATH))
    reply = await client.head()
    # The raw way is kept: the length, where one was announced, and what speaks of the bytes.
    assert reply.header("Content-Length") == ("10" if framing == "length" else None)
    assert reply.header("Content-Digest") == "x"
    gates[0].set()
    async with asyncio.timeout(2):
        assert b"hello" in await client.reader.read(100)
    gates[1].set()
    async with asyncio.timeout(2):
        while b"world" not in await client.reader.read(100):
            pass
    again = await running.get(PATH)
    assert (status_of(again), again.body) == ("hit; ttl=60", b"helloworld")
    assert again.all("Content-Length") == ["10"]
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 10\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nbroken",
    ],
)
async def test_an_answer_that_is_cut_short_is_not_stored(
    gateway: MakeGateway, raw_upstream: MakeUpstream, answer: bytes
) -> None:
    server = await raw_upstream(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n" + answer)
    running = await start(gateway, server.url)
    for count in (1, 2):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError, ValueError)):
            await running.get(PATH)
        assert server.connections == count
    assert await metric(running, "brain_cache_bytes") == 0


async def test_a_client_that_leaves_while_its_answer_is_stored_breaks_nobody_elses(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n")
        writer.write(b"hello")
        if server.connections == 1:
            await gone(reader)
        await go.wait()
        writer.write(b"world")

    server = await raw_upstream(script)
    running = await start(gateway, server.url)
    leaving = await running.client()
    leaving.send(request(PATH))
    await leaving.head()
    waiting = [asyncio.ensure_future(running.get(PATH)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert server.connections == 1
    leaving.close()
    await until(lambda: server.connections == 2)
    go.set()
    replies = await asyncio.gather(*waiting)
    assert {reply.body for reply in replies} == {b"helloworld"}
    assert sorted(status_of(reply).partition(";")[0] for reply in replies) == ["fwd=uri-miss"] * 3
    assert sum("collapsed" in status_of(reply) for reply in replies) == 2
    assert server.connections == 2


async def test_a_slow_reader_holds_the_upstream_back_and_what_it_gets_is_stored(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    body = bytes(range(256)) * 16 * 1024
    upstream.answer = made_of(body, "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url, "{max_entry: 8MiB}")
    client = await running.client(limit=1024)
    client.send(request(PATH))
    await client.head()
    await asyncio.sleep(0.1)
    assert await metric(running, "brain_cache_bytes") < len(body)
    async with asyncio.timeout(10):
        assert await client.reader.readexactly(len(body)) == body
    again = await running.get(PATH)
    assert (status_of(again), again.body) == ("hit; ttl=60", body)


async def test_what_is_larger_than_the_bound_passes_untouched(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    body = bytes(range(256)) * 1024
    running = await start(gateway, upstream.url, "{max_entry: 100KiB}")
    chunked = (
        b"".join(b"%x\r\n%b\r\n" % (1 << 16, body[: 1 << 16]) for _ in range(4)) + b"0\r\n\r\n"
    )
    for answer, whole in (
        (made_of(body, "Cache-Control: max-age=60"), body),
        (
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunked,
            body[: 1 << 16] * 4,
        ),
    ):
        upstream.answer = answer
        for _ in range(2):
            reply = await running.get(PATH)
            assert reply.body == whole
            assert status_of(reply).startswith("fwd=uri-miss")
    assert len(upstream.seen) == 4
    assert await metric(running, "brain_cache_bytes") == 0


async def test_an_event_stream_is_waited_for_by_nobody(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: max-age=60\r\n"
            b"Connection: close\r\n\r\ndata: 1\n\n"
        )
        await gone(reader)

    server = await raw_upstream(events)
    running = await start(gateway, server.url)
    for _ in range(3):
        client = await running.client()
        client.send(request(PATH, "Accept: text/event-stream"))
        assert status_of(await client.head()) == "fwd=uri-miss"
        async with asyncio.timeout(2):
            await client.reader.readuntil(b"data: 1\n\n")


# -- single flight


async def test_one_request_asks_and_the_others_get_its_answer(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        writer.write(made_of(b"hello", "Cache-Control: max-age=60"))

    server = await raw_upstream(script)
    running = await start(gateway, server.url)
    tasks = [asyncio.ensure_future(running.get(PATH)) for _ in range(8)]
    await asyncio.sleep(0.05)
    go.set()
    replies = await asyncio.gather(*tasks)
    assert {reply.body for reply in replies} == {b"hello"}
    assert sum("collapsed" in status_of(reply) for reply in replies) == 7
    assert server.connections == 1
    assert (
        await metric(running, 'brain_cache_requests_total{cache="cache",result="collapsed"}') == 7
    )


async def test_others_ask_for_themselves_when_the_answer_is_not_for_them(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        writer.write(made_of(b"hello", "Cache-Control: private"))

    server = await raw_upstream(script)
    running = await start(gateway, server.url)
    tasks = [asyncio.ensure_future(running.get(PATH)) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert server.connections == 1
    go.set()
    for reply in await asyncio.gather(*tasks):
        assert (reply.body, status_of(reply)) == (b"hello", "fwd=uri-miss")
    assert server.connections == 5


# -- in a chain, and over reloads


async def test_plugins_further_out_run_on_a_hit_and_those_further_in_do_not(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await gateway(
        f"""
        version: 1
        plugins:
          - {{use: "{HERE}:Trace", as: outer, with: {{name: outer}}}}
          - cache
          - {{use: "{HERE}:Trace", as: inner, with: {{name: inner}}}}
          - request-id
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    replies = [await running.get(PATH) for _ in range(3)]
    assert [reply.all("X-Trace") for reply in replies] == [["inner", "outer"]] * 3
    assert len({reply.header("X-Request-Id") for reply in replies}) == 3
    assert len(upstream.seen) == 1


async def test_a_reload_keeps_what_is_stored(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    running.path.write_text(running.path.read_text() + "x-more: 1\n")
    assert await running.reload() is None
    assert status_of(await running.get(PATH)).startswith("hit")
    assert await metric(running, 'brain_cache_requests_total{cache="cache",result="miss"}') == 1


async def test_options_that_change_take_hold_and_a_smaller_bound_drops_what_is_over(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"x" * 10_000)
    running = await start(gateway, upstream.url, "{default_ttl: 60s}")
    for number in range(5):
        await running.get(f"{PATH}{number}")
    options = "{default_ttl: 60s, max_size: 32KiB, max_entry: 16KiB}"
    running.path.write_text(file_of(upstream.url, options))
    assert await running.reload() is None
    await until(lambda: running.host.gateway.status().snapshots == 1)
    assert await metric(running, "brain_cache_entries") == 2
    assert status_of(await running.get(f"{PATH}4")).startswith("hit")
    running.path.write_text(file_of(upstream.url, "{max_size: 32KiB, max_entry: 16KiB}"))
    assert await running.reload() is None
    assert not status_of(await running.get(f"{PATH}4")).startswith("hit")


async def test_a_service_that_moves_leaves_its_old_answers_behind(
    gateway: MakeGateway, upstream: RecordingUpstream, raw_upstream: MakeUpstream
) -> None:
    upstream.answer = made_of(b"old", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    newer = await raw_upstream(made_of(b"new", "Cache-Control: max-age=60"))
    running.path.write_text(file_of(newer.url))
    assert await running.reload() is None
    assert (await running.get(PATH)).body == b"new"


async def test_taking_the_cache_away_frees_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    running.path.write_text(file_of(upstream.url).replace("{cache: {}}, ", ""))
    assert await running.reload() is None
    await until(lambda: running.host.gateway.status().snapshots == 1)
    assert status_of(await running.get(PATH)) == ""
    assert b"brain_cache" not in (await running.admin("/metrics")).body


def test_hishel_is_imported_only_where_a_file_asks_for_a_cache() -> None:
    script = (
        "import sys, plugins.cache, proxy.cli.run, proxy.cli.serving\n"
        "print(sorted({'hishel', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
