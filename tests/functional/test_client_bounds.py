"""Slow heads, idle connections, and how many there may be (semantics.md, row 29, default limits)."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import (
    OK,
    Gateway,
    RawClient,
    RawUpstream,
    RecordingUpstream,
    Script,
    request,
)


async def serving(gateway: MakeGateway, upstream: RawUpstream, settings: str) -> Gateway:
    return await gateway(
        f"""
        version: 1
        gateway:
          {settings}
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )


async def test_a_head_that_does_not_end_is_408_counted_from_its_first_byte(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "timeouts: {head: 300ms}")
    client = await running.client()
    began = time.monotonic()
    for byte in b"GET / HT":
        client.send(bytes([byte]))  # progress does not help
        await asyncio.sleep(0.02)
    reply = await client.reply()
    assert (reply.status, json.loads(reply.body)["code"]) == (408, "head_timeout")
    assert 0.25 < time.monotonic() - began < 0.6
    assert await client.closed()


async def test_a_connection_that_says_nothing_is_closed_without_a_word(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "timeouts: {head: 150ms, keepalive: 10s}")
    client = await running.client()
    assert await client.closed()


async def test_an_idle_connection_is_closed_after_its_time(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "timeouts: {head: 10s, keepalive: 200ms}")
    client = await running.client()
    for _ in range(3):
        client.send(request("/api/brain/echo/"))
        assert (await client.reply()).status == 200
        await asyncio.sleep(0.1)
    began = time.monotonic()
    assert await client.closed()
    assert time.monotonic() - began < 0.3


async def test_a_second_head_that_does_not_end_is_408_too(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, upstream, "timeouts: {head: 200ms, keepalive: 10s}")
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    await client.reply()
    client.send(b"GET /api")
    assert (await client.reply()).status == 408


async def refused(running: Gateway) -> bool:
    """Whether a further connection is turned away rather than answered."""
    client: RawClient | None = None
    try:
        client = await running.client()
        client.send(request("/api/brain/echo/"))
        await client.reply()
    except (ConnectionError, asyncio.IncompleteReadError):
        return True
    return False


@pytest.mark.parametrize("limit", ["per_address", "connections"])
async def test_connections_over_the_bound_are_refused_and_room_is_given_back(
    gateway: MakeGateway, upstream: RecordingUpstream, limit: str
) -> None:
    running = await serving(gateway, upstream, f"limits: {{{limit}: 2}}")
    held = [await running.client(), await running.client()]
    for client in held:
        client.send(request("/api/brain/echo/"))
        assert (await client.reply()).status == 200
    # As often as it is tried: a refused connection must not count as one that left.
    assert [await refused(running) for _ in range(5)] == [True] * 5
    held[0].close()
    await asyncio.sleep(0.02)
    assert not await refused(running)


async def test_clients_behind_a_trusted_proxy_are_not_bounded_by_its_address(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(
        gateway, upstream, "{limits: {per_address: 1}, trusted_proxies: [127.0.0.1]}"
    )
    for _ in range(3):
        client = await running.client()
        client.send(request("/api/brain/echo/"))
        assert (await client.reply()).status == 200


async def test_refusals_are_one_line_a_second_however_many(
    gateway: MakeGateway, upstream: RecordingUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    running = await serving(gateway, upstream, "limits: {per_address: 1}")
    held = await running.client()
    held.send(request("/api/brain/echo/"))
    await held.reply()
    with caplog.at_level(logging.WARNING, "brain.server"):
        for _ in range(50):
            await refused(running)
    lines = [record for record in caplog.records if "refused" in record.getMessage()]
    assert 1 <= len(lines) <= 2


MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


class Held:
    """An upstream's script that answers when it is let go."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.released = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.arrived.set()
            await self.released.wait()
            writer.write(OK)


async def being_served(
    gateway: MakeGateway, raw_upstream: MakeUpstream, settings: str
) -> tuple[RawClient, Held]:
    """Return a client whose first request waits for its upstream."""
    held = Held()
    running = await serving(gateway, await raw_upstream(held), settings)
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    await held.arrived.wait()
    return client, held


async def test_a_head_begun_behind_a_request_being_served_is_408_in_its_time(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    client, held = await being_served(
        gateway, raw_upstream, "timeouts: {head: 200ms, keepalive: 10s}"
    )
    client.send(b"GET /api/brain/echo/ HTTP/1.1\r\nHo")
    await asyncio.sleep(0.05)
    held.released.set()
    assert (await client.reply()).status == 200
    began = time.monotonic()
    assert (await client.reply()).status == 408
    assert time.monotonic() - began < 0.5


async def test_a_head_in_pieces_behind_a_request_being_served_is_bounded_in_bytes(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    client, held = await being_served(gateway, raw_upstream, "limits: {header_total: 4KiB}")
    client.send(b"GET /api/brain/echo/ HTTP/1.1\r\nHost: a\r\n")
    for number in range(20):
        client.send(b"X-%d: %b\r\n" % (number, b"v" * 1000))
        await asyncio.sleep(0.005)
    held.released.set()
    assert (await client.reply()).status == 200
    assert (await client.reply()).status == 431


async def test_the_rest_of_a_body_behind_a_request_being_served_is_no_head(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    client, held = await being_served(
        gateway, raw_upstream, "{timeouts: {head: 100ms}, limits: {header_total: 4KiB}}"
    )
    client.send(request("/api/brain/echo/", "Content-Length: 30000", method="POST"))
    for _ in range(30):
        client.send(b"x" * 1000)
        await asyncio.sleep(0.005)
    held.released.set()
    assert [(await client.reply()).status for _ in range(2)] == [200, 200]
