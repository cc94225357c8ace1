"""The client leaves: the upstream's exchange ends at once (semantics.md, row 20)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.functional.bodykit import PATH, finished_code, gone, one_service
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawClient, RawUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Leave = Callable[[RawClient], None]


def reset(client: RawClient) -> None:
    """Break the connection."""
    client.close()


def half_close(client: RawClient) -> None:
    """Say that nothing more will be sent, and stay to read."""
    client.writer.write_eof()


class Watched:
    """An upstream that says when a request is on its way, and when it was let go of."""

    def __init__(self, answer: bytes = b"", *, flood: bool = False) -> None:
        self.begun = asyncio.Event()
        self.left = asyncio.Event()
        self._answer = answer
        self._flood = flood

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer)
        self.begun.set()
        try:
            while self._flood:
                writer.write(bytes(1 << 16))
                await writer.drain()
            await gone(reader)
        finally:
            self.left.set()


@pytest.mark.parametrize("leave", [reset, half_close])
@pytest.mark.parametrize(
    "head",
    [
        request(PATH),
        request(PATH, "Content-Length: 10", method="POST") + b"four",
        request(PATH, "Transfer-Encoding: chunked", method="POST") + b"4\r\nfour\r\n",
    ],
    ids=["waiting", "uploading", "uploading chunks"],
)
async def test_who_leaves_before_the_answer_frees_the_upstream_at_once(
    gateway: MakeGateway,
    raw_upstream: MakeUpstream,
    caplog: pytest.LogCaptureFixture,
    leave: Leave,
    head: bytes,
) -> None:
    watched = Watched()
    played = await raw_upstream(watched)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(head)
    await watched.begun.wait()
    leave(client)
    await asyncio.wait_for(watched.left.wait(), 1)
    assert await finished_code() == "client_left"
    assert not caplog.records


@pytest.mark.parametrize("leave", [reset, half_close])
@pytest.mark.parametrize("flood", [False, True], ids=["a quiet stream", "more than is read"])
async def test_who_leaves_within_the_answer_frees_the_upstream_at_once(
    gateway: MakeGateway,
    raw_upstream: MakeUpstream,
    caplog: pytest.LogCaptureFixture,
    leave: Leave,
    *,
    flood: bool,
) -> None:
    watched = Watched(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nx", flood=flood)
    played = await raw_upstream(watched)
    running = await gateway(one_service(played.url))
    client = await running.client(limit=1 << 16)
    client.send(request(PATH))
    await client.head()
    await asyncio.sleep(0.1 if flood else 0)
    leave(client)
    await asyncio.wait_for(watched.left.wait(), 1)
    assert await finished_code() == "client_left"
    assert not caplog.records


async def test_an_upload_that_is_held_back_ends_at_the_write_timer(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    finished = asyncio.Event()

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await finished.wait()

    played = await raw_upstream(script)
    keys = ("limits: {request_body: 100MiB}", "timeouts: {write: 300ms}")
    running = await gateway(one_service(played.url, *keys))
    client = await running.client()
    client.send(request(PATH, f"Content-Length: {64 << 20}", method="POST"))

    async def send() -> None:
        while True:
            client.send(bytes(1 << 20))
            await client.writer.drain()

    sending = asyncio.ensure_future(send())
    await asyncio.sleep(0.2)
    sending.cancel()
    client.close()
    assert await finished_code() in ("upstream_write_timeout", "client_left")
    finished.set()


async def test_pipelined_requests_of_who_left_are_not_sent(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    watched = Watched()
    played = await raw_upstream(watched)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH) * 3)
    await watched.begun.wait()
    client.close()
    await asyncio.wait_for(watched.left.wait(), 1)
    assert await finished_code() == "client_left"
    await asyncio.sleep(0.02)
    assert played.connections == 1
