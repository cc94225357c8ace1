"""compress on a real gateway: what is on the wire, and when."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable

import brotli
import pytest
import zstandard

from plugins.compress import coders
from proxy.config.load import InvalidConfig
from tests.functional.bodykit import CHUNKED, answering, ends_cleanly, gone
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawUpstream, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter

PATH = "/api/brain/echo/x"
TEXT = json.dumps([{"id": number, "name": "somebody"} for number in range(200)]).encode()
UNDO: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}
STEPS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "gzip": lambda: zlib.decompressobj(31).decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
}


def public(url: str, options: str = "{}") -> str:
    return (
        f"version: 1\nplugins: [{{compress: {options}}}]\n"
        f'services:\n  echo: {{upstream: "{url}", public: true}}\n'
    )


def made_of(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    given = fields or ("Content-Type: application/json",)
    head = "\r\n".join([f"HTTP/1.1 {status}", *given, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("coding", UNDO)
async def test_an_answer_is_coded_as_the_client_asks(
    gateway: MakeGateway, upstream: RecordingUpstream, coding: str
) -> None:
    upstream.answer = made_of(TEXT, "Content-Type: text/html", 'ETag: "a"', "Vary: Origin")
    running = await gateway(public(upstream.url))
    client = await running.client()
    for _ in range(2):  # on one connection: what is framed wrongly breaks the second answer
        client.send(request(PATH, f"Accept-Encoding: {coding};q=0.5, identity;q=0.1"))
        reply = await client.reply()
        assert UNDO[coding](reply.body) == TEXT
        assert reply.all("Content-Encoding") == [coding]
        assert reply.all("Content-Length") == [str(len(reply.body))]
        assert reply.all("Vary") == ["Origin, Accept-Encoding"]
        assert reply.all("ETag") == ['W/"a"']
    plain = await running.get(PATH)
    assert plain.body == TEXT
    assert plain.all("Content-Encoding") == []
    assert plain.all("Vary") == ["Origin, Accept-Encoding"]
    assert plain.all("ETag") == ['"a"']


@pytest.mark.parametrize("coding", STEPS)
async def test_the_first_bytes_can_be_read_while_the_upstream_holds_its_last_ones_back(
    gateway: MakeGateway, raw_upstream: MakeUpstream, coding: str
) -> None:
    read_by_client = asyncio.Event()

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5010\r\n\r\n")
        for half in (b"<p>first</p>".ljust(5000), b"last bytes"):
            writer.write(half)
            if half.startswith(b"<p>"):
                await read_by_client.wait()
        await gone(reader)

    played = await raw_upstream(script)
    running = await gateway(public(played.url))
    client = await running.client()
    client.send(request(PATH, f"Accept-Encoding: {coding}"))
    head = await client.head()
    assert (head.header("Transfer-Encoding"), head.header("Content-Length")) == ("chunked", None)
    undo, plain = STEPS[coding](), b""
    async with asyncio.timeout(5):
        while len(plain) < 5000:
            size = int(await client.reader.readuntil(b"\r\n"), 16)
            plain += undo((await client.reader.readexactly(size + 2))[:-2])
    assert plain == b"<p>first</p>".ljust(5000)
    read_by_client.set()
    rest = b""
    while size := int(await client.reader.readuntil(b"\r\n"), 16):
        rest += undo((await client.reader.readexactly(size + 2))[:-2])
    assert rest == b"last bytes"


@pytest.mark.parametrize("coding", STEPS)
async def test_an_upstream_that_breaks_off_breaks_the_client_and_no_end_is_written(
    gateway: MakeGateway, raw_upstream: MakeUpstream, coding: str
) -> None:
    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9000\r\n\r\n")
        writer.write(b"four" * 1000)
        await asyncio.sleep(0.05)

    played = await raw_upstream(script)
    running = await gateway(public(played.url))
    client = await running.client()
    client.send(request(PATH, f"Accept-Encoding: {coding}"))
    got, clean = await ends_cleanly(client)
    assert not clean
    assert f"Content-Encoding: {coding}".encode() in got
    assert not got.endswith(b"0\r\n\r\n")
    assert got.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("media", ["text/event-stream", "application/x-ndjson"])
async def test_a_stream_of_events_passes_chunk_by_chunk_as_it_is(
    gateway: MakeGateway, raw_upstream: MakeUpstream, media: str
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = b"data: " + b"x" * 2000 + b"\n\n"
    played = await raw_upstream(answering(head.encode() + b"%x\r\n%b\r\n" % (len(event), event)))
    running = await gateway(public(played.url))
    client = await running.client()
    client.send(request(PATH, "Accept-Encoding: gzip, br, zstd"))
    reply = await client.head()
    assert reply.header("Content-Encoding") is None
    assert reply.header("Vary") is None
    size = int(await client.reader.readuntil(b"\r\n"), 16)
    assert await client.reader.readexactly(size) == event


@pytest.mark.parametrize("coding", UNDO)
async def test_a_large_answer_streams_through_whole(
    gateway: MakeGateway, upstream: RecordingUpstream, coding: str
) -> None:
    body = bytes(range(256)) * 16 * 1024 + TEXT
    upstream.answer = made_of(body)
    running = await gateway(public(upstream.url))
    reply = await running.get(PATH, f"Accept-Encoding: {coding}")
    assert UNDO[coding](reply.body) == body
    assert reply.all("Transfer-Encoding") == ["chunked"]
    assert len(reply.body) < len(body)


async def test_a_chunked_answer_without_a_length_counts_as_large(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    typed = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n")
    upstream.answer = typed + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    running = await gateway(public(upstream.url))
    reply = await running.get(PATH, "Accept-Encoding: gzip")
    assert gzip.decompress(reply.body) == b"hello"


async def test_a_client_of_http_1_0_gets_its_answer_coded_and_closed(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(TEXT * 100, "Content-Type: text/plain")
    running = await gateway(public(upstream.url))
    client = await running.client()
    client.send(f"GET {PATH} HTTP/1.0\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    got, clean = await ends_cleanly(client)
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert (gzip.decompress(body), clean) == (TEXT * 100, True)


async def test_a_client_that_leaves_takes_the_upstreams_connection_with_it(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    left = asyncio.Event()

    async def script(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9999\r\n\r\nx")
        await gone(reader)
        left.set()

    played = await raw_upstream(script)
    running = await gateway(public(played.url))
    client = await running.client()
    client.send(request(PATH, "Accept-Encoding: br"))
    await client.head()
    client.close()
    async with asyncio.timeout(2):
        await left.wait()


@pytest.mark.parametrize(
    ("fields", "asked", "status"),
    [
        (["Content-Type: text/html", "Content-Encoding: gzip"], [], "200 OK"),
        (["Content-Type: text/html", "Content-Range: bytes 0-1/2"], [], "206 Partial Content"),
        (["Content-Type: text/html", "Cache-Control: no-transform"], [], "200 OK"),
        (["Content-Type: text/html", "Set-Cookie: session=secret"], [], "200 OK"),
        (["Content-Type: text/html", "Cache-Control: private"], [], "200 OK"),
        (["Content-Type: text/html"], ["Cookie: session=secret"], "200 OK"),
        (["Content-Type: image/png"], [], "200 OK"),
    ],
)
async def test_what_may_not_be_coded_passes_byte_for_byte(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    fields: list[str],
    asked: list[str],
    status: str,
) -> None:
    upstream.answer = made_of(TEXT, *fields, 'ETag: "a"', "Accept-Ranges: bytes", status=status)
    running = await gateway(public(upstream.url))
    reply = await running.get(PATH, "Accept-Encoding: gzip", *asked)
    assert reply.body == TEXT
    for line in (*fields, 'ETag: "a"', "Accept-Ranges: bytes", f"Content-Length: {len(TEXT)}"):
        assert f"\r\n{line}".encode() in reply.raw_head
    assert reply.header("Vary") is None


async def test_head_and_304_tell_that_the_answer_varies_and_have_no_coded_body(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n"
    same = b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'
    played = await raw_upstream(answering(page, same))
    running = await gateway(public(played.url))
    client = await running.client()
    client.send(request(PATH, "Accept-Encoding: gzip", method="HEAD"))
    head = await client.reply(head_only=True)
    assert (head.header("Content-Length"), head.header("Vary")) == ("5000", "Accept-Encoding")
    assert head.header("Content-Encoding") is None
    client.send(request(PATH, "Accept-Encoding: gzip", 'If-None-Match: W/"a"'))
    fresh = await client.reply()
    assert (fresh.status, fresh.header("ETag")) == (304, 'W/"a"')
    assert fresh.header("Vary") == "Accept-Encoding"


async def test_what_a_plugin_of_any_stage_answers_is_coded_once_the_chain_is_through(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    """An inner plugin edits the plain body; the coded one has the edit in it."""
    upstream.answer = made_of(TEXT.replace(b"[", b'{"people":[', 1) + b"}")
    running = await gateway(
        f"""
        version: 1
        plugins:
          - body-transform: {{response: {{set: {{/edited: true}}}}}}
          - compress: {{codings: [gzip]}}
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    reply = await running.get(PATH, "Accept-Encoding: gzip")
    assert reply.header("Content-Encoding") == "gzip"
    assert json.loads(gzip.decompress(reply.body))["edited"] is True
    assert upstream.last.header("Accept-Encoding") == "identity"


async def test_a_file_that_lists_what_is_not_installed_is_refused_with_the_remedy(
    gateway: MakeGateway, upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coders, "find_spec", lambda name: None)
    with pytest.raises(InvalidConfig) as refused:
        await gateway(public(upstream.url, "{codings: [gzip, br]}"))
    assert "the library brotli is missing" in str(refused.value)
    assert "brain-gateway[compress]" in str(refused.value)
    running = await gateway(public(upstream.url))
    upstream.answer = made_of(TEXT)
    reply = await running.get(PATH, "Accept-Encoding: zstd, br, gzip")
    assert reply.header("Content-Encoding") == "gzip"
