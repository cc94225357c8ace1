"""The server behind every proxy: fast, and not counted. ``python -m bench.upstream PORT…``.

==================  ==============================================================
``/json``           95 bytes of JSON
``/fresh``          the same, which a cache may keep for an hour
``/echo``           the request's body
``/blob?size=N``    N bytes with Content-Length
``/chunked?size=N`` N bytes in chunks
``/sink``           ``{"received": N}`` after reading and dropping the request's body
``/mark/…``         its own path: tells which revision of a file forwarded the request
``/hang``           nothing, ever
``/hanging``        the number of connections on which ``/hang`` was asked and which are still open
==================  ==============================================================
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator, Sequence
from typing import ClassVar, cast

import httptools
import uvloop

JSON = (
    b'{"id":7,"name":"Ada Lovelace","email":"ada@example.org",'
    b'"tags":["first","second"],"live": true}'
)
_PIECE = memoryview(bytes(256 * 1024))


def _head(length: int, kind: bytes = b"application/json", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%bContent-Length: %d\r\n\r\n"
    return head % (kind, more, length)


_PREPARED = {
    b"/json": _head(len(JSON)) + JSON,
    b"/fresh": _head(len(JSON), more=b"Cache-Control: max-age=3600\r\n") + JSON,
}
_CHUNKED_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def _blob(size: int) -> Iterator[bytes | memoryview]:
    yield _head(size, b"application/octet-stream")
    for left in range(size, 0, -len(_PIECE)):
        yield _PIECE[:left]


def _chunked(size: int) -> Iterator[bytes | memoryview]:
    yield _CHUNKED_HEAD
    for left in range(size, 0, -len(_PIECE)):
        piece = _PIECE[:left]
        yield b"%x\r\n" % len(piece)
        yield piece
        yield b"\r\n"
    yield b"0\r\n\r\n"


class UpstreamProtocol(asyncio.Protocol):
    """One connection. Requests come one after another; nobody here pipelines."""

    hanging: ClassVar[set[UpstreamProtocol]] = set()

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._keep = False
        self._body: list[bytes] = []
        self._received = 0
        self._pieces: Iterator[bytes | memoryview] = iter(())
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.hanging.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._keep = self._url.startswith(b"/echo")

    def on_body(self, data: bytes) -> None:
        self._received += len(data)
        if self._keep:
            self._body.append(data)

    def on_message_complete(self) -> None:
        url = self._url
        prepared = _PREPARED.get(url)
        if prepared is not None:
            self._transport.write(prepared)
        else:
            self._pieces = self._answer(url)
            self._pump()
        self._url, self._body, self._received = b"", [], 0

    def _answer(self, url: bytes) -> Iterator[bytes | memoryview]:
        path, _, query = url.partition(b"?")
        if path in (b"/blob", b"/chunked"):
            make = _blob if path == b"/blob" else _chunked
            return make(int(query.removeprefix(b"size=")))
        if path == b"/echo":
            return iter([_head(self._received), *self._body])
        if path == b"/sink":
            counted = b'{"received": %d}' % self._received
            return iter([_head(len(counted)) + counted])
        if path.startswith(b"/mark/"):
            return iter([_head(len(path), b"text/plain") + path])
        if path == b"/hang":
            self.hanging.add(self)
            return iter(())
        if path == b"/hanging":
            counted = b"%d" % len(self.hanging)
            return iter([_head(len(counted), b"text/plain") + counted])
        return iter([_MISSING])

    def _pump(self) -> None:
        """Writes until the transport says stop; ``resume_writing`` goes on."""
        while not self._paused and (piece := next(self._pieces, None)) is not None:
            self._transport.write(piece)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()


async def serve(ports: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(UpstreamProtocol, "127.0.0.1", port, backlog=2048)
        for port in ports
    ]
    gc.freeze()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(serve([int(port) for port in sys.argv[1:]]))
