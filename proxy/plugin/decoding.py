"""Undoing a Content-Encoding, within a bound."""

from __future__ import annotations

import zlib

from proxy.errors import GatewayError

_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def decoded(body: bytes, coding: str | None, limit: int) -> bytes:
    """Return `body` with its codings undone, outermost first (RFC 9110, 8.4).

    `limit` bounds the result in bytes: a bomb stops there. Raises GatewayError `answer_too_large`,
    `answer_coding_unknown` or `answer_invalid`.
    """
    for name in reversed((coding or "").lower().split(",")):
        body = _undo(body, name.strip(), limit)
    if len(body) > limit:
        raise GatewayError("answer_too_large")
    return body


def _undo(body: bytes, coding: str, limit: int) -> bytes:
    if coding in ("", "identity"):
        return body
    if coding not in _WINDOW:
        raise GatewayError("answer_coding_unknown")
    try:
        return _inflate(body, _WINDOW[coding], limit)
    except zlib.error as error:
        raise GatewayError("answer_invalid", log=str(error)) from error


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    # "deflate" comes with a zlib header by the RFC and without one by custom.
    raw_deflate = window == zlib.MAX_WBITS and (body[:1] or b"x")[0] & 0x0F != zlib.DEFLATED
    machine = zlib.decompressobj(-window if raw_deflate else window)
    plain = machine.decompress(body, limit + 1)
    if len(plain) > limit:
        raise GatewayError("answer_too_large")
    if not machine.eof:
        raise GatewayError("answer_invalid", log="coded body is cut short")
    return plain
