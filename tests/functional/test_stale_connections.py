"""A reused connection that turns out dead: when one more try is safe (semantics.md, row 25)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.functional import probe
from tests.functional.bodykit import PATH, one_service
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, RawUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


class Dying:
    """Answers a connection's first request; at its second says `last`, if anything, and goes."""

    def __init__(self, last: bytes = b"") -> None:
        self.last = last
        self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        writer.write(self.last)


@pytest.mark.parametrize(
    "again",
    [
        request(PATH),
        request(PATH, method="DELETE"),
        request(PATH, "Content-Length: 0", method="POST"),
        request(PATH, method="PUT", body=b"body"),
    ],
    ids=["GET", "DELETE", "POST without a body", "PUT"],
)
async def test_a_silent_death_is_tried_again_once(
    gateway: MakeGateway, raw_upstream: MakeUpstream, again: bytes
) -> None:
    dying = Dying()
    played = await raw_upstream(dying)
    running = await gateway(one_service(played.url))
    assert (await running.get(PATH)).status == 200
    assert (await running.ask(again)).body == b"ok"
    assert (played.connections, dying.requests) == (2, 3)
    assert [attempt.reused for attempt in probe.FINISHED[1].attempts] == [True, False]


@pytest.mark.parametrize(
    ("again", "last"),
    [
        (request(PATH, method="POST", body=b"body"), b""),
        (request(PATH, method="POST"), b"HTTP/1.1 200 OK\r\nX-"),
        (request(PATH), b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"),
    ],
    ids=["a body was sent", "a byte came", "a 103 was relayed"],
)
async def test_what_may_have_been_done_is_not_tried_again(
    gateway: MakeGateway, raw_upstream: MakeUpstream, again: bytes, last: bytes
) -> None:
    dying = Dying(last)
    played = await raw_upstream(dying)
    running = await gateway(one_service(played.url))
    assert (await running.get(PATH)).status == 200
    client = await running.client()
    client.send(again)
    while (reply := await client.reply()).status < 200:
        pass
    assert reply.status == 502
    assert b"upstream_reset_before_headers" in reply.body
    assert (played.connections, dying.requests) == (1, 2)


@pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("POST", 1)])
async def test_a_fresh_connection_that_dies_is_tried_again_where_that_is_safe(
    gateway: MakeGateway, raw_upstream: MakeUpstream, method: str, tries: int
) -> None:
    played = await raw_upstream(b"")
    running = await gateway(one_service(played.url))
    client = await running.client()
    client.send(request(PATH, method=method))
    assert (await client.reply()).status == 502
    assert played.connections == tries
