"""Does a caller tell a lost request from one that came too late? Against scripted servers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bench.callers import Caller, Tally

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _answer_then_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    writer.close()


async def _read_and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(GOOD[:-1])
    writer.close()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    writer.close()


async def _tally(serve: Serve) -> Tally:
    tally = Tally()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    task = asyncio.create_task(Caller(port, request, tally, keep=True).run())
    while not (tally.answered or tally.lost or tally.late):
        await asyncio.sleep(0.005)
    tally.ending = True
    server.close()
    await asyncio.wait_for(task, 5)
    return tally


async def test_a_whole_answer_is_no_loss() -> None:
    tally = await _tally(_answer_then_hang_up)
    assert tally.answered >= 1
    assert tally.lost == 0


@pytest.mark.parametrize("serve", [_read_and_hang_up, _half_an_answer, _refuse])
async def test_a_request_that_was_taken_and_not_answered_is_lost(serve: Serve) -> None:
    tally = await _tally(serve)
    assert tally.lost >= 1
    assert tally.first_loss
