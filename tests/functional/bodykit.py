"""What the tests of bodies share: one service with a probe, and small helpers around sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tests.functional import probe
from tests.functional.kit import RawClient, Script

PATH = "/api/brain/s/x"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def one_service(url: str, *lines: str) -> str:
    """Return a file with one public service `s`, seen by the probe; `lines` are its own keys."""
    own = "".join(f"    {line}\n" for line in lines)
    return (
        "version: 1\n"
        "plugins:\n"
        '  - {use: "tests.functional.probe:record"}\n'
        "services:\n"
        f'  s:\n    upstream: "{url}"\n    public: true\n' + own
    )


async def until(condition: Callable[[], object], seconds: float = 2.0) -> None:
    """Wait until `condition()` is true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def finished_code() -> str | None:
    """Return the code with which the only exchange ended."""
    await until(lambda: probe.FINISHED)
    (exchange,) = probe.FINISHED
    return None if exchange.error is None else exchange.error.code


async def ends_cleanly(client: RawClient) -> tuple[bytes, bool]:
    """Read all that comes: the bytes, and whether the connection ended by a FIN, not by a reset."""
    got = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(client.timeout):
            while chunk := await client.reader.read(65536):
                got += chunk
            return got, True
    return got, False


async def gone(reader: asyncio.StreamReader) -> bool:
    """Tell, as an upstream, that the gateway has let go of the connection."""
    try:
        async with asyncio.timeout(2.0):
            while await reader.read(65536):
                pass
    except ConnectionError:
        pass
    return True


def answering(*answers: bytes, stay: bool = True) -> Script:
    """Return a script that answers one request after the other, then waits to be left."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        if stay:
            await gone(reader)

    return script
