"""What the tests of `compress` share: answers that shrink, and a chain of that plugin alone."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import brotli
import zstandard
from plugin_kit import Kit, ask, handler_of, request_of

from plugins.compress import Compress
from proxy import Answer
from proxy.headers import encode

TEXT = b"All work and no play makes Jack a dull boy. " * 200
PLAIN = ("Content-Type", "text/plain; charset=utf-8")
ALL = {"Accept-Encoding": "gzip, br, zstd"}
UNDO: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


def answer_of(*fields: tuple[str, str], body: bytes = TEXT, status: int = 200) -> Answer:
    """Return an upstream's answer that is here whole, as the forwarder makes it."""
    raw = [(encode(k), encode(v)) for k, v in (*fields, ("Content-Length", str(len(body))))]
    return Answer.from_upstream(status, "", raw, body, framed=True)


async def through(
    kit: Kit,
    answer: Answer,
    *,
    options: dict[str, Any] | None = None,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> Answer:
    plugin = await kit.run(Compress, options)
    request = request_of(method, headers=ALL if headers is None else headers)
    return await ask(plugin, request, handler_of(answer))


async def sent(answer: Answer) -> bytes:
    body = answer.payload()
    return body if isinstance(body, bytes) else b"".join([part async for part in body])


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
