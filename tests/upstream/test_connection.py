"""A connection to a target, on a transport that remembers: the same answer however it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import GatewayError
from proxy.headers import Field
from proxy.upstream.connection import Connection
from proxy.upstream.head import HeadBounds
from proxy.upstream.holding import HIGH_WATER

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Transport(asyncio.Transport):
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.ended: str | None = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.ended is not None

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"


@dataclass
class Bucket:
    """A sink that is always behind, or never."""

    paused: bool = False
    got: list[bytes] = field(default_factory=list)

    def feed(self, data: bytes) -> None:
        self.got.append(data)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    made = connected()
    yield made
    made.connection_lost(None)


def connected(method: str = "GET", *, upgrade: bool = False) -> Connection:
    made = Connection(asyncio.get_running_loop(), "target")
    made.connection_made(Transport())
    made.begin(method, HeadBounds(), None, upgrade=upgrade)
    return made


def transport_of(connection: Connection) -> Transport:
    return cast(Transport, connection.transport)


ANSWERS = {
    "length": (OK, "GET"),
    "chunks": (CHUNKED + b"2\r\nok\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n", "GET"),
    "empty fields": (b"HTTP/1.1 200\r\nA:\r\nB: \r\nC: c \r\nContent-Length: 0\r\n\r\n", "GET"),
    "interim": (
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\nLink:\r\n\r\nHTTP/1.1 103 E\r\n\r\n"
        + OK,
        "GET",
    ),
    "no body": (b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", "GET"),
    "not modified": (b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", "GET"),
    "head": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD"),
    "close": (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET"),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour", "GET"),
    "cut chunks": (CHUNKED + b"4\r\nfour\r\n", "GET"),
    "cut head": (b"HTTP/1.1 200 OK\r\nContent-Le", "GET"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "GET"),
    "bad chunk": (CHUNKED + b"2\r\nok\r\nzz\r\n", "GET"),
    "too much": (OK + b"more", "GET"),
    "two answers": (OK + OK, "GET"),
    "body behind head": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HEAD"),
    "no http": (b"SSH-2.0-OpenSSH\r\n\r\n", "GET"),
    "a large field": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 33_000 + b"\r\n\r\n", "GET"),
    "an old version": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET"),
    "switch": (b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes", "GET"),
}


async def told(answer: bytes, method: str, cuts: list[int]) -> dict[str, Any]:
    """Return all that an answer told, when it arrives cut at `cuts` and the target then ends."""
    hints: list[tuple[int, list[Field]]] = []
    made = Connection(asyncio.get_running_loop(), "target")
    made.connection_made(Transport())
    transport = transport_of(made)
    made.begin(
        method, HeadBounds(), lambda status, fields: hints.append((status, fields)), upgrade=True
    )
    for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True):
        if start < end and transport.ended is None:
            made.data_received(answer[start:end])
    keep = made.reusable
    made.eof_received()
    made.connection_lost(None)
    found: dict[str, Any] = {"keep": keep, "hints": hints}
    bucket = Bucket()
    try:
        head = await made.head()
        found["head"] = (head.status, head.reason, head.fields)
        found["whole"] = made.relay_at_once(bucket)
    except GatewayError as error:
        found["error"] = error.code
    found["body"] = b"".join(bucket.got)
    found["trailers"] = made.trailers
    return found


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_the_same_however_it_is_cut(name: str) -> None:
    answer, method = ANSWERS[name]
    whole = asyncio.run(told(answer, method, []))

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(0, len(answer)), max_size=8).map(sorted))
    def check(cuts: list[int]) -> None:
        assert asyncio.run(told(answer, method, cuts)) == whole

    check()
    if len(answer) < 200:
        assert asyncio.run(told(answer, method, list(range(1, len(answer))))) == whole


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("length", {"keep": True, "body": b"ok", "whole": True}),
        (
            "chunks",
            {"keep": True, "body": b"okabc", "trailers": [(b"X-Sum", b"1"), (b"X-Empty", b"")]},
        ),
        ("close", {"keep": False, "body": b"until the end", "whole": True}),
        ("cut", {"keep": False, "body": b"four", "error": "upstream_reset_mid_body"}),
        ("cut head", {"keep": False, "error": "upstream_reset_before_headers"}),
        ("two lengths", {"keep": False, "error": "upstream_invalid_response"}),
        ("too much", {"keep": False, "body": b"ok", "whole": True}),
        ("two answers", {"keep": False, "body": b"ok", "whole": True}),
        ("head", {"keep": True, "body": b"", "whole": True}),
        ("not modified", {"keep": True, "body": b"", "whole": True}),
        ("body behind head", {"keep": False, "body": b""}),
        ("a large field", {"keep": False, "error": "upstream_head_too_large"}),
        ("an old version", {"keep": False, "body": b"ok", "whole": True}),
        ("interim", {"hints": [(103, [(b"Link", b"a"), (b"Link", b"")]), (103, [])], "keep": True}),
    ],
)
async def test_what_an_answer_tells(name: str, expected: dict[str, Any]) -> None:
    found = await told(*ANSWERS[name], [])
    assert {key: found.get(key) for key in expected} == expected


async def test_a_body_that_was_held_back_leaves_the_connection_reading(
    connection: Connection,
) -> None:
    size = HIGH_WATER * 2
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    connection.data_received(bytes(HIGH_WATER))
    assert not transport_of(connection).reading
    connection.data_received(bytes(HIGH_WATER))
    assert transport_of(connection).reading
    assert connection.reusable
    assert connection.take_whole() == bytes(size)


async def test_a_sink_that_is_behind_holds_and_is_not_timed(connection: Connection) -> None:
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour")
    connection.body_timeout(0.01, "upstream_body_timeout")
    bucket = Bucket(paused=True)
    relaying = asyncio.ensure_future(connection.relay(bucket))
    await asyncio.sleep(0.05)
    assert not transport_of(connection).reading
    assert not relaying.done()
    bucket.paused = False
    connection.resume()
    with pytest.raises(GatewayError, match="upstream_body_timeout"):
        await relaying
    assert transport_of(connection).ended == "aborted"


async def test_only_a_wait_for_the_target_is_timed_when_a_body_is_iterated(
    connection: Connection,
) -> None:
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour")
    connection.body_timeout(0.02, "upstream_body_timeout")
    await asyncio.sleep(0.05)
    chunks = aiter(connection)
    assert await anext(chunks) == b"four"
    waiting = asyncio.ensure_future(anext(chunks))
    await asyncio.sleep(0)
    connection.data_received(b"m")
    assert await waiting == b"m"
    await asyncio.sleep(0.05)
    with pytest.raises(GatewayError, match="upstream_body_timeout"):
        await anext(chunks)


async def test_bytes_that_nobody_asked_for_close_an_idle_connection(connection: Connection) -> None:
    connection.data_received(OK)
    connection.busy = False
    connection.data_received(b"HTTP/1.1 408 Slow\r\n\r\n")
    assert transport_of(connection).ended == "aborted"


async def test_a_connection_that_was_lost_before_it_began_says_so() -> None:
    made = Connection(asyncio.get_running_loop())
    made.connection_made(Transport())
    made.connection_lost(None)
    made.begin("GET", HeadBounds(), None)
    with pytest.raises(GatewayError, match="upstream_reset_before_headers"):
        await made.head()
    assert made.silent


async def test_one_byte_of_an_answer_ends_the_silence(connection: Connection) -> None:
    assert connection.silent
    connection.data_received(b"H")
    assert not connection.silent


async def test_a_slow_target_is_waited_for_as_long_as_it_reads(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = iter([400, 300, 200, 200])
    monkeypatch.setattr(transport_of(connection), "get_write_buffer_size", lambda: next(waiting))
    connection.pause_writing()
    started = asyncio.get_running_loop().time()
    draining = asyncio.ensure_future(connection.drain(0.03))
    with pytest.raises(GatewayError, match="upstream_write_timeout"):
        await connection.head()
    assert 0.08 < asyncio.get_running_loop().time() - started < 0.5
    connection.resume_writing()
    await draining


async def test_a_finished_tunnel_lets_its_last_bytes_go_and_is_cut_when_they_do_not() -> None:
    made = connected(upgrade=True)
    transport = transport_of(made)
    made.finish(0.02)
    made.close()
    assert transport.ended == "closed"
    await asyncio.sleep(0.05)
    assert transport.ended == "aborted"
    made.connection_lost(None)
