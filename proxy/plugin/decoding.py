"""Undoing a Content-Encoding, within a bound."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from proxy.errors import GatewayError

_MOST = 4
"""Codings laid over each other in one message: more of them only cost time."""

_PARTS = 64
"""Members or frames in one body: each costs a copy of the rest, and may hold nothing."""

_WIDEST = 8 * 1024 * 1024
"""Bytes of the window that a zstd body may ask for (RFC 9659, 3)."""


Codes = Mapping[str, str]
"""The codes by which one side's message is refused."""

OF_ANSWER: Codes = {
    "too_large": "answer_too_large",
    "unknown": "answer_coding_unknown",
    "invalid": "answer_invalid",
}
OF_REQUEST: Codes = {
    "too_large": "body_too_large",
    "unknown": "body_coding_unknown",
    "invalid": "body_invalid",
}


def decoded(body: bytes, coding: str | None, limit: int, codes: Codes) -> bytes:
    """Return `body` with its codings undone, outermost first (RFC 9110, 8.4).

    gzip and deflate are always known, br and zstd where their libraries are installed. `limit`
    bounds the result in bytes: a bomb stops there. Raises GatewayError with one of `codes`.
    """
    names = [name.strip() for name in (coding or "").lower().split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > _MOST:
        raise _unknown(codes)
    for name in reversed(names):
        body = _undone(body, name, limit, codes)
    if len(body) > limit:
        raise GatewayError(codes["too_large"])
    return body


def known_codings() -> list[str]:
    """Return the codings that can be undone here, as `Accept-Encoding` names them."""
    return [name for name in ("zstd", "br", "gzip", "deflate") if _way_of(name) is not None]


def _unknown(codes: Codes) -> GatewayError:
    # A client is told what it may send instead (RFC 9110, 15.5.16).
    headers = {"Accept-Encoding": ", ".join(known_codings())} if codes is OF_REQUEST else None
    return GatewayError(codes["unknown"], headers=headers)


def _undone(body: bytes, coding: str, limit: int, codes: Codes) -> bytes:
    undo = _way_of(coding)
    if undo is None:
        raise _unknown(codes)
    try:
        plain = undo(body, limit)
    except _Broken as error:
        raise GatewayError(codes["invalid"], log=str(error)) from error
    if len(plain) > limit:
        raise GatewayError(codes["too_large"])
    return plain


class _Broken(Exception):
    """The bytes are not what their coding says."""


_CUT = "coded body is cut short"
_SHREDDED = "coded body has too many parts"

Undo = Callable[[bytes, int], bytes]
"""Returns the plain body, or more than the limit of it. Raises `_Broken`."""


def _way_of(coding: str) -> Undo | None:
    if coding in _BUILT_IN:
        return _BUILT_IN[coding]
    library, undo = _OPTIONAL.get(coding, ("", None))
    return None if undo is None or _library(library) is None else undo


@cache
def _library(name: str) -> Any:
    """Return a library of the extra `compress`, imported when a body first needs it, or None."""
    try:
        found = import_module(name)
    except ImportError:
        return None
    # Without it a bomb could not be stopped half-way.
    bounded = name != "brotli" or hasattr(found.Decompressor, "can_accept_more_data")
    return found if bounded else None


# -- gzip and deflate


def _gunzip(body: bytes, limit: int) -> bytes:
    plain = b""
    for _ in range(_PARTS):  # a gzip body is a row of members (RFC 1952, 2.2)
        part, body = _inflated(body, 16 + zlib.MAX_WBITS, limit - len(plain))
        plain += part
        if len(plain) > limit or not body.startswith(b"\x1f\x8b"):
            return plain
    raise _Broken(_SHREDDED)


def _inflate(body: bytes, limit: int) -> bytes:
    # "deflate" comes with a zlib header by the RFC and without one by custom.
    raw_deflate = (body[:1] or b"x")[0] & 0x0F != zlib.DEFLATED
    return _inflated(body, -zlib.MAX_WBITS if raw_deflate else zlib.MAX_WBITS, limit)[0]


def _inflated(body: bytes, window: int, limit: int) -> tuple[bytes, bytes]:
    """Return the plain bytes of one member, and what follows it."""
    machine = zlib.decompressobj(window)
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error as error:
        raise _Broken(str(error)) from error
    if len(plain) <= limit and not machine.eof:
        raise _Broken(_CUT)
    return plain, machine.unused_data


# -- br


def _unbrotli(body: bytes, limit: int) -> bytes:
    brotli = _library("brotli")
    machine = brotli.Decompressor()
    try:
        # The limit stops between two blocks of output, so up to twice of it may come.
        plain: bytes = machine.process(body, output_buffer_limit=limit + 1)
        while len(plain) <= limit and not machine.is_finished():
            more = machine.process(b"", output_buffer_limit=limit + 1 - len(plain))
            if not more:
                raise _Broken(_CUT)
            plain += more
    except brotli.error as error:
        raise _Broken(str(error)) from error
    return plain


# -- zstd


def _unzstd(body: bytes, limit: int) -> bytes:
    zstandard = _library("zstandard")
    maker = zstandard.ZstdDecompressor(max_window_size=_WIDEST)
    try:
        # Only the reader can be stopped half-way, and only the machine knows a whole frame from
        # one that is cut short: the first measures for the second.
        with maker.stream_reader(body, read_across_frames=True) as reader:
            head = _read(reader, limit + 1)
        return head if len(head) > limit else _whole_frames(maker, body)
    except zstandard.ZstdError as error:
        raise _Broken(str(error)) from error


def _read(reader: Any, size: int) -> bytes:
    parts = []
    while size > 0 and (part := reader.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _whole_frames(maker: Any, body: bytes) -> bytes:
    plain = bytearray()
    for _ in range(_PARTS):  # a zstd body is a row of frames (RFC 8878, 3)
        machine = maker.decompressobj()
        plain += machine.decompress(body)
        if not machine.eof:
            raise _Broken(_CUT)
        body = machine.unused_data
        if not body:
            return bytes(plain)
    raise _Broken(_SHREDDED)


_BUILT_IN: Mapping[str, Undo] = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _inflate}
_OPTIONAL: Mapping[str, tuple[str, Undo]] = {
    "br": ("brotli", _unbrotli),
    "zstd": ("zstandard", _unzstd),
}
