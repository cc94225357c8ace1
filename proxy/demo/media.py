"""A picture and a document, made in memory so that the package holds no binary file."""

import struct
import zlib
from typing import Final

from aiohttp import web

_SIDE: Final = 128

# Every byte value occurs: what decodes and encodes text on the way cannot pass it unchanged.
DOCUMENT: Final = bytes(range(256)) * 256


def picture() -> bytes:
    """A square PNG of coloured stripes, by the chunks of the PNG specification, section 5."""
    rows = b"".join(b"\0" + _row(y) for y in range(_SIDE))
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)  # 8 bits a channel, RGB
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _row(y: int) -> bytes:
    return bytes(value for x in range(_SIDE) for value in (x * 2, y * 2, (x ^ y) * 2))


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def ranged(request: web.Request, whole: bytes) -> web.Response:
    """All of `whole`, or the one range that was asked for (RFC 9110, section 14).

    A Range that cannot be read is passed over, as section 14.2 allows; one beyond the end is 416.
    """
    span = _span(request, len(whole))
    if span is None:
        return web.Response(body=whole, headers={"Accept-Ranges": "bytes"})
    if not span:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(whole)}"})
    content_range = f"bytes {span.start}-{span.stop - 1}/{len(whole)}"
    part = whole[span.start : span.stop]
    headers = {"Accept-Ranges": "bytes", "Content-Range": content_range}
    return web.Response(status=206, body=part, headers=headers)


def _span(request: web.Request, length: int) -> range | None:
    if "Range" not in request.headers:
        return None
    try:
        return range(*request.http_range.indices(length))
    except ValueError:
        return None
