"""Slots, queues and connections of an upstream (semantics.md, rows 23, 24 and 25)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable

from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, RawUpstream, RecordingUpstream, Reply, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


def code(reply: Reply) -> str:
    found = json.loads(reply.body)["code"]
    assert isinstance(found, str)
    return found


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read and never answer."""
    await reader.read()


def dead_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_a_hanging_upstream_does_not_starve_another(
    gateway: MakeGateway, upstream: RecordingUpstream, raw_upstream: MakeUpstream
) -> None:
    hanging = await raw_upstream(hang)
    running = await gateway(
        f"""
        version: 1
        services:
          hung: {{upstream: {{url: "{hanging.url}", concurrent: 1, queue: 2}}, public: true}}
          good: {{upstream: {{url: "{upstream.url}", concurrent: 1, queue: 2}}, public: true}}
        """
    )
    for _ in range(3):
        (await running.client()).send(request("/api/brain/hung/"))
    await asyncio.sleep(0.02)
    assert (await running.get("/api/brain/good/")).status == 200


async def test_what_exceeds_slots_and_queue_is_told_to_come_back_at_once(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    hanging = await raw_upstream(hang)
    running = await gateway(
        f"""
        version: 1
        services:
          hung: {{upstream: {{url: "{hanging.url}", concurrent: 1, queue: 1}}, public: true}}
        """
    )
    for _ in range(2):
        (await running.client()).send(request("/api/brain/hung/"))
    await asyncio.sleep(0.02)
    async with asyncio.timeout(0.5):
        reply = await running.get("/api/brain/hung/")
    assert (reply.status, code(reply)) == (503, "upstream_saturated")
    assert reply.header("Retry-After") is not None


async def test_waiting_for_a_slot_ends_with_503(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    hanging = await raw_upstream(hang)
    running = await gateway(
        f"""
        version: 1
        services:
          hung:
            upstream: {{url: "{hanging.url}", concurrent: 1, queue: 1}}
            timeouts: {{pool: 100ms}}
            public: true
        """
    )
    (await running.client()).send(request("/api/brain/hung/"))
    await asyncio.sleep(0.02)
    reply = await running.get("/api/brain/hung/")
    assert (reply.status, code(reply)) == (503, "upstream_pool_timeout")
    assert hanging.connections == 1


async def test_who_waits_gets_the_slot_that_becomes_free(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(0.02)
            writer.write(OK)

    server = await raw_upstream(slow)
    running = await gateway(
        f"""
        version: 1
        services:
          slow: {{upstream: {{url: "{server.url}", concurrent: 1, queue: 8}}, public: true}}
        """
    )
    replies = await asyncio.gather(*(running.get("/api/brain/slow/") for _ in range(5)))
    assert [reply.status for reply in replies] == [200] * 5
    assert server.connections == 1, "one slot needs one connection"


async def test_a_slot_comes_back_when_its_client_leaves(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    hanging = await raw_upstream(hang)
    running = await gateway(
        f"""
        version: 1
        services:
          hung: {{upstream: {{url: "{hanging.url}", concurrent: 1, queue: 1}}, public: true}}
        """
    )
    first, second = await running.client(), await running.client()
    first.send(request("/api/brain/hung/"))
    await asyncio.sleep(0.02)
    second.send(request("/api/brain/hung/"))  # waits in the queue
    await asyncio.sleep(0.02)
    (only,) = running.host.gateway.snapshot.upstreams.values()
    assert (only.in_flight, only.status().waiting) == (1, 1)
    second.close()
    first.close()
    await asyncio.sleep(0.02)
    assert (only.in_flight, only.status().waiting) == (0, 0)


async def test_a_connection_is_used_again_until_it_was_idle_too_long(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: {{url: "{upstream.url}", keepalive: 100ms}}, public: true}}
        """
    )
    await running.get("/api/brain/echo/")
    await running.get("/api/brain/echo/")
    assert upstream.connections == 1
    (only,) = running.host.gateway.snapshot.upstreams.values()
    assert only.status().open == 1
    await asyncio.sleep(0.25)
    assert only.status().open == 0, "the gateway closes before the upstream would"
    await running.get("/api/brain/echo/")
    assert upstream.connections == 2


async def test_a_connection_that_is_too_old_is_not_used_again(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: {{url: "{upstream.url}", max_age: 100ms}}, public: true}}
        """
    )
    await running.get("/api/brain/echo/")
    await asyncio.sleep(0.15)
    await running.get("/api/brain/echo/")  # still on the old one, which is closed behind it
    await running.get("/api/brain/echo/")
    assert upstream.connections == 2


async def test_a_name_that_does_not_resolve_stops_neither_the_start_nor_the_others(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          lost: {{upstream: "http://no-such-host.invalid", public: true}}
          good: {{upstream: "{upstream.url}", public: true}}
        """
    )
    lost = await running.get("/api/brain/lost/")
    assert (lost.status, code(lost)) == (502, "upstream_unresolved")
    assert (await running.get("/api/brain/good/")).status == 200


def one_answer_a_connection(server_saw: list[bytes]) -> Script:
    """Answer the first request of a connection, and reset it at the second."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_saw.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        server_saw.append(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.abort()

    return script


async def test_a_get_on_a_connection_that_went_stale_is_sent_once_more(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    saw: list[bytes] = []
    server = await raw_upstream(one_answer_a_connection(saw))
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{server.url}", public: true}}
        """
    )
    await running.get("/api/brain/echo/one")
    assert (await running.get("/api/brain/echo/two")).status == 200
    assert [head.split(b" ")[1] for head in saw] == [b"/one", b"/two", b"/two"]
    (only,) = running.host.gateway.snapshot.upstreams.values()
    assert dict(only.retries) == {"stale-connection": 1}


async def test_the_second_try_uses_no_other_stale_connection(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    """After an upstream's restart all idle connections are stale, not only one."""
    together = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if server.connections >= 2:
            together.set()
        await together.wait()
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    server = await raw_upstream(script)
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{server.url}", public: true}}
        """
    )
    await asyncio.gather(running.get("/api/brain/echo/"), running.get("/api/brain/echo/"))
    assert server.connections == 2
    assert (await running.get("/api/brain/echo/")).status == 200
    assert server.connections == 3


async def test_a_post_with_a_body_is_not_sent_twice(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    saw: list[bytes] = []
    server = await raw_upstream(one_answer_a_connection(saw))
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{server.url}", public: true}}
        """
    )
    await running.get("/api/brain/echo/one")
    reply = await running.get("/api/brain/echo/two", method="POST", body=b"pay")
    assert (reply.status, code(reply)) == (502, "upstream_reset_before_headers")
    assert len(saw) == 2


async def test_a_fresh_connection_that_resets_is_not_tried_again(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    server = await raw_upstream(reset)
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{server.url}", public: true}}
        """
    )
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, code(reply)) == (502, "upstream_reset_before_headers")
    assert [head.failing for head in running.host.gateway.snapshot.upstreams.values()] == [None]


async def test_a_target_that_refuses_is_passed_over(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo:
            upstream: {{targets: ["http://127.0.0.1:{dead_port()}", "{upstream.url}"]}}
            public: true
        """
    )
    replies = [await running.get("/api/brain/echo/", method="POST", body=b"once") for _ in range(4)]
    assert [reply.status for reply in replies] == [200] * 4
    assert len(upstream.seen) == 4
    assert (await running.admin("/ready")).status == 200
    (only,) = running.host.gateway.snapshot.upstreams.values()
    assert only.retries["connect"] == 2, "each was in its turn first for half of the requests"
    assert only.failing is None, "one target can be reached"


async def test_without_another_target_a_refused_connection_is_502(gateway: MakeGateway) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "http://127.0.0.1:{dead_port()}", public: true}}
        """
    )
    reply = await running.get("/api/brain/echo/")
    assert (reply.status, code(reply)) == (502, "upstream_connect_refused")
