"""Bytes thrown at the public socket: no crash, no hang, no traceback, and well-formed answers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request

SEEDS = (
    request("/api/brain/echo/x?y=%27"),
    request("/api/brain/echo/x", method="POST", body=b"hello"),
    request("/api/brain/echo/x", "Transfer-Encoding: chunked", method="POST")
    + b"5;ext=1\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n",
    request("http://other.test/api/brain/echo/x", "Expect: 100-continue", "Content-Length: 2")
    + b"ok",
    request("/api/brain/echo/x", "Connection: Upgrade", "Upgrade: websocket"),
    request("*", method="OPTIONS"),
    request("/api/brain/echo/x", "Forwarded: for=1.2.3.4", "X-Forwarded-For: 1", "Cookie: a=b"),
    b"GET /api/brain/echo/ HTTP/1.0\r\n\r\n",
)

TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"\xff\xfe",
    b"%2e%2e/",
    b"%00",
    b"\\",
    b"//",
    b"HTTP/2.0",
    b"Host: a,b\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Connection: close, host\r\n",
    b"Expect: 200\r\n",
    b"ffffffffffffffff\r\n",
    b"A" * 9000,
    b"X: y\r\n" * 120,
)

_edit = st.tuples(
    st.integers(0, 300),
    st.integers(0, 12),
    st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request with some bytes replaced, cut or put in."""
    raw = draw(st.sampled_from(SEEDS))
    for at, removed, put in draw(st.lists(_edit, min_size=1, max_size=3)):
        raw = raw[:at] + put + raw[at + removed :]
    return raw * draw(st.sampled_from((1, 1, 1, 2)))


streams = st.one_of(mutated(), mutated(), mutated(), st.binary(min_size=1, max_size=300))

_START = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [^\r\n]*\r\n")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\r\n\0]*")


def answers(raw: bytes) -> list[int]:
    """Return the statuses of what was answered. Fails when it is not HTTP, to the last byte."""
    statuses: list[int] = []
    while raw:
        start = _START.match(raw)
        assert start is not None, f"no status line: {raw[:80]!r}"
        head, blank, raw = raw.partition(b"\r\n\r\n")
        assert blank, f"a head that does not end: {head[:200]!r}"
        lines = head.split(b"\r\n")[1:]
        assert all(_FIELD.fullmatch(line) for line in lines), head
        fields = {
            line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines
        }
        status = int(start[1])
        statuses.append(status)
        if status < 200 or status in (204, 304):
            assert status != 101
            continue
        if fields.get(b"transfer-encoding") == b"chunked":
            raw = dechunked(raw)
        elif b"content-length" in fields:
            length = int(fields[b"content-length"])
            # A HEAD has a length and no body: the next thing is a status line, or the end.
            if raw[:length] and not (raw.startswith(b"HTTP/1.") and length != len(raw)):
                assert len(raw) >= length, "a body that was cut"
                raw = raw[length:]
        else:
            assert fields.get(b"connection") == b"close", head
            raw = b""
    return statuses


def dechunked(raw: bytes) -> bytes:
    while True:
        size, found, raw = raw.partition(b"\r\n")
        assert found
        length = int(size, 16)
        if not length:
            assert raw.startswith(b"\r\n")
            return raw[2:]
        assert raw[length : length + 2] == b"\r\n"
        raw = raw[length + 2 :]


async def throw(running: Gateway, raw: bytes) -> list[int]:
    """Send `raw`, half-close, and read to the end. Fails on a hang."""
    client = await running.client()
    try:
        with contextlib.suppress(ConnectionError):
            client.send(raw)
            client.writer.write_eof()
            received = b""
            async with asyncio.timeout(3):
                with contextlib.suppress(ConnectionError):
                    while more := await client.reader.read(65536):
                        received += more
            return answers(received)
    finally:
        client.close()
        running.clients.remove(client)
    return []


async def _throw_all(running: Gateway, thrown: Sequence[bytes]) -> None:
    for _ in await asyncio.gather(*(throw(running, raw) for raw in thrown)):
        pass


def _batches(count: int, each: int) -> list[list[bytes]]:
    """Draw the examples first: hypothesis and a running loop do not share a thread."""
    drawn: list[list[bytes]] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(streams, min_size=each, max_size=each))
    def collect(batch: list[bytes]) -> None:
        drawn.append(batch)

    collect()
    return drawn


async def test_whatever_bytes_come_the_gateway_answers_well_or_closes_and_serves_on(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [request-id, metrics, {{cors: {{origins: ["https://app.example.com"]}}}}]
        services:
          echo:
            upstream: "{upstream.url}"
            public: true
            timeouts: {{response: 1s, body: 300ms}}
        """
    )
    for batch in _batches(100, 4):
        await _throw_all(running, batch)
        assert (await running.get("/api/brain/echo/alive")).status == 200
    traces = [record for record in caplog.records if record.exc_info or record.levelno >= 40]
    assert not traces, traces[0].getMessage()


Make = Callable[..., Awaitable[Gateway]]


async def test_requests_in_pieces_of_any_size_are_answered_alike(
    gateway: Make, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    raw = SEEDS[2] + SEEDS[0]
    for size in (1, 2, 3, 7, 50):
        client = await running.client()
        for at in range(0, len(raw), size):
            client.send(raw[at : at + size])
            if at % 40 < size:
                await asyncio.sleep(0)
        assert (await client.reply()).body == b"ok"
        assert (await client.reply()).body == b"ok"
        client.close()
