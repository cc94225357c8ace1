"""What compressing does to an answer: its body, and every field that spoke of the plain bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import hdrs
from multidict import MultiMapping

from plugins.compress.coders import Coding
from proxy import Answer

WHOLE_MOST = 128 * 1024
"""Bytes that are coded in one go: less than 3 ms of the loop's time at the default levels."""

_PIECE = 16 * 1024
"""Bytes that are coded before others get their turn.

A thread would spare the loop little: handing a piece over and back costs much of what coding it
does, and often there is one core for both.
"""


def compress_whole(answer: Answer, body: bytes, coding: Coding) -> None:
    """Code a body that is here, and send it with its length unless it takes several turns."""
    if len(body) > WHOLE_MOST:
        compress(answer, coding)
        return
    coded = coding.whole(body)
    if len(coded) >= len(body):
        return
    validator = answer.header(hdrs.ETAG)
    answer.replace(coded)
    _label(answer, coding, validator)


def compress(answer: Answer, coding: Coding) -> None:
    """Code a body as it passes."""
    validator = answer.header(hdrs.ETAG)
    answer.body = _coded(answer.body, coding)
    _label(answer, coding, validator)


async def _coded(body: AsyncIterator[bytes], coding: Coding) -> AsyncIterator[bytes]:
    """Yield the coded body. Each chunk is flushed: what the upstream has sent, the client can read.

    When the body breaks off its error passes through: no end mark is written.
    """
    coder = coding.begin()
    async for chunk in body:
        for start in range(0, len(chunk), _PIECE):
            ready = coder.code(chunk[start : start + _PIECE])
            if start + _PIECE >= len(chunk):
                yield ready + coder.flush()
            else:
                yield ready
                await asyncio.sleep(0)
    yield coder.finish()


def _label(answer: Answer, coding: Coding, validator: str | None) -> None:
    headers = answer.headers
    headers[hdrs.CONTENT_ENCODING] = coding.name
    headers.popall(hdrs.ACCEPT_RANGES, None)
    headers.popall(hdrs.ETAG, None)
    if validator is not None and (weak := _weak(validator)):
        headers[hdrs.ETAG] = weak


def _weak(validator: str) -> str | None:
    """Return the weak form of an entity tag (RFC 9110, 8.8.3), None for what is no tag."""
    if validator.startswith("W/"):
        return validator
    return f"W/{validator}" if validator.startswith('"') else None


def weaken_validator(answer: Answer, asked: MultiMapping[str]) -> None:
    """Let a 304 name the weak tag that the client has got from here, if it has asked by that."""
    validator = answer.header(hdrs.ETAG)
    if validator is None or not validator.startswith('"'):
        return
    if any(f"W/{validator}" in each for each in asked.getall(hdrs.IF_NONE_MATCH, ())):
        answer.headers[hdrs.ETAG] = f"W/{validator}"


def vary(answer: Answer) -> None:
    """Say that another Accept-Encoding gets another answer (RFC 9110, 12.5.5)."""
    given = [value for name, value in answer.wire_fields() if name.lower() == b"vary"]
    if not given:
        answer.add_header(hdrs.VARY, hdrs.ACCEPT_ENCODING)
        return
    names = {name.strip().lower() for name in b",".join(given).split(b",")}
    if names.isdisjoint((b"*", b"accept-encoding")):
        told = ", ".join(value for value in answer.headers.getall(hdrs.VARY) if value)
        answer.headers[hdrs.VARY] = f"{told}, Accept-Encoding" if told else "Accept-Encoding"
