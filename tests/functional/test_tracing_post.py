"""Bodies on their way to a collector: one connection, some patience, and an end to it."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import pytest
import trustme

from plugins.tracing.post import Post
from tests.functional.kit import RawUpstream, RecordingUpstream, Script

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answering(status: int, *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Some", *fields, "Content-Length: 0"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Scripted:
    """Answers the first requests as listed, and all others with a 200."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            self.bodies.append(gzip.decompress(await reader.readexactly(length)))
            answer = self.answers.pop(0) if self.answers else TAKEN
            if not answer:
                return
            writer.write(answer)
            await writer.drain()


async def sent(post: Post, body: bytes = b"spans") -> tuple[str | None, bytes]:
    async with asyncio.timeout(10):
        return await asyncio.to_thread(post.send, body)


async def test_bodies_go_over_one_connection_with_the_headers_that_were_given(
    upstream: RecordingUpstream,
) -> None:
    post = Post(f"{upstream.url}/v1/traces", {"Authorization": "Bearer x"}, 5.0)
    assert await sent(post, b"one") == (None, b"ok")
    assert await sent(post, b"two") == (None, b"ok")
    assert upstream.connections == 1
    assert [gzip.decompress(each.body) for each in upstream.seen] == [b"one", b"two"]
    seen = upstream.last
    assert (seen.method, seen.target) == ("POST", "/v1/traces")
    assert seen.header("Content-Type") == "application/x-protobuf"
    assert seen.header("Authorization") == "Bearer x"
    post.close()


async def test_a_connection_that_was_closed_meanwhile_is_opened_anew(
    raw_upstream: MakeUpstream,
) -> None:
    script = Scripted(TAKEN, b"")
    server = await raw_upstream(script)
    post = Post(f"{server.url}/v1/traces", {}, 5.0)
    assert await sent(post, b"one") == (None, b"ok")
    assert await sent(post, b"two") == (None, b"ok")
    assert script.bodies == [b"one", b"two", b"two"]
    assert server.connections == 2
    post.close()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_may_succeed_later_is_tried_again(
    raw_upstream: MakeUpstream, status: int
) -> None:
    script = Scripted(answering(status))
    server = await raw_upstream(script)
    post = Post(f"{server.url}/v1/traces", {}, 5.0)
    assert await sent(post) == (None, b"ok")
    assert len(script.bodies) == 2
    post.close()


async def test_a_collector_says_when_to_try_again(raw_upstream: MakeUpstream) -> None:
    script = Scripted(answering(503, "Retry-After: 1"))
    server = await raw_upstream(script)
    post = Post(f"{server.url}/v1/traces", {}, 5.0)
    before = monotonic()
    assert await sent(post) == (None, b"ok")
    assert monotonic() - before >= 1
    script.answers.append(answering(503, "Retry-After: 3600"))
    assert await sent(post) == ("it answers 503", b"")
    post.close()


@pytest.mark.parametrize("status", [302, 400, 401, 404, 413, 500])
async def test_what_will_not_succeed_is_not_tried_again(
    raw_upstream: MakeUpstream, status: int
) -> None:
    script = Scripted(answering(status, "Location: /elsewhere"))
    server = await raw_upstream(script)
    post = Post(f"{server.url}/v1/traces", {}, 5.0)
    assert await sent(post) == (f"it answers {status}", b"")
    assert len(script.bodies) == 1
    post.close()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (b"nonsense\r\n\r\n", "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "in time"),
        (b"", "RemoteDisconnected"),
    ],
)
async def test_what_is_no_answer_is_told_when_the_patience_is_over(
    raw_upstream: MakeUpstream, script: bytes, reason: str
) -> None:
    server = await raw_upstream(Scripted(*[script] * 9))
    post = Post(f"{server.url}/v1/traces", {}, 0.3)
    said, body = await sent(post)
    assert said is not None
    assert reason in said or "reset" in said.lower()
    assert body == b""
    post.close()


async def test_an_endless_answer_is_not_read_to_its_end(raw_upstream: MakeUpstream) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    server = await raw_upstream(endless)
    post = Post(f"{server.url}/v1/traces", {}, 5.0)
    said, body = await sent(post)
    assert (said, len(body)) == (None, 65536)
    post.close()


async def test_a_collector_that_hangs_costs_the_timeout_and_no_more(
    raw_upstream: MakeUpstream,
) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await raw_upstream(hang)
    post = Post(f"{server.url}/v1/traces", {}, 0.2)
    before = monotonic()
    assert await sent(post) == ("it does not answer in time", b"")
    assert monotonic() - before < 2
    post.close()


async def test_giving_up_wakes_whoever_waits_for_an_answer(raw_upstream: MakeUpstream) -> None:
    reached = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await reader.read()

    server = await raw_upstream(hang)
    post = Post(f"{server.url}/v1/traces", {}, 60.0)
    sending = asyncio.create_task(asyncio.to_thread(post.send, b"spans"))
    await asyncio.wait_for(reached.wait(), 5)
    post.give_up()
    said, _ = await asyncio.wait_for(sending, 5)
    post.close()
    assert said is not None


async def test_giving_up_wakes_whoever_waits_to_try_again() -> None:
    post = Post("http://127.0.0.1:1/v1/traces", {}, 60.0)
    sending = asyncio.create_task(asyncio.to_thread(post.send, b"spans"))
    await asyncio.sleep(0.1)
    post.give_up()
    said, _ = await asyncio.wait_for(sending, 5)
    post.close()
    assert said == "Connection refused"


async def test_a_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    server = RawUpstream(Scripted())
    await server.start(context)
    url = f"https://localhost:{server.port}/v1/traces"
    try:
        stranger = Post(url, {}, 0.2)
        said, _ = await sent(stranger)
        assert said is not None
        assert "certificate verify failed" in said
        stranger.close()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        known = await asyncio.to_thread(Post, url, {}, 5.0)
        assert await sent(known) == (None, b"ok")
        known.close()
    finally:
        await server.close()
