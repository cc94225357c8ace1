"""A credential is rotated under load, the old one is refused, and no client sees it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import OK, Gateway, RawClient, RawUpstream, request
from tests.functional.vaultkit import TENANTS, USE, Entry, bearer, routes

REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nbad"
BODIES = [b"", b"x" * 1024, b"y" * 30 * 1024]
CLIENTS = 50
PATH = "/api/brain/crm/x"


class Keyed(RawUpstream):
    """Lets in who has the key of now, and counts how often it saw each request."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.key = ""
        self.attempts: Counter[str] = Counter()
        self.refused = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            number = fields["X-Number"]
            body = await reader.readexactly(int(fields.get("Content-Length", "0")))
            assert body == _body(number)
            self.attempts[number] += 1
            good = fields["Authorization"] == f"Token {self.key}"
            self.refused += not good
            await asyncio.sleep(0.005)
            writer.write(OK if good else REFUSED)


def _body(number: str) -> bytes:
    return BODIES[int(number.partition("-")[2]) % len(BODIES)]


def numbered(tenant: str, number: str) -> bytes:
    body = _body(number)
    headers = (bearer(tenant=tenant), f"X-Number: {number}")
    return request(PATH, *headers, method="POST" if body else "GET", body=body)


@pytest.fixture
async def keyed() -> AsyncIterator[Keyed]:
    server = Keyed()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
def entry(bao: Bao, tmp_path: Path) -> Entry:
    return Entry.made(bao, tmp_path)


async def clients(
    running: Gateway, tenant: str, seen: Counter[int], more: Callable[[], bool]
) -> None:
    """Ask on 50 connections that stay open, each as fast as it is answered."""

    async def one(at: int) -> None:
        client = await running.client()
        number = 0
        while more():
            client.send(numbered(tenant, f"{at}-{number}"))
            seen[(await client.reply()).status] += 1
            number += 1
        client.close()

    await asyncio.gather(*map(one, range(CLIENTS)))


async def test_a_rotation_under_load_costs_one_attempt_more_for_who_is_on_the_way_and_one_read(
    gateway: MakeGateway, keyed: Keyed, bao: Bao, entry: Entry
) -> None:
    bao.put("tenants/turning/crm", key="old-key-of-turning")
    keyed.key = "old-key-of-turning"
    running = await gateway(routes(entry.section("{fresh: 60s}"), keyed.url))
    seen, going = Counter[int](), True
    load = asyncio.create_task(clients(running, "turning", seen, lambda: going))
    for turn in range(3):
        await asyncio.sleep(0.4)
        new = f"new-key-{turn}-of-turning"
        await asyncio.to_thread(bao.put, "tenants/turning/crm", key=new)
        bao.forget_requests()
        before = seen.total()
        keyed.key = new
        await asyncio.sleep(0.4)
        assert seen.total() > before + CLIENTS
        assert bao.reads("tenants/turning/crm") == 1
    going = False
    await load
    assert set(seen) == {200}
    assert max(keyed.attempts.values()) == 2
    assert 3 <= keyed.refused <= 3 * CLIENTS
    assert sum(count - 1 for count in keyed.attempts.values()) == keyed.refused


async def test_a_version_that_is_refused_too_is_not_asked_for_by_everybody(
    gateway: MakeGateway, keyed: Keyed, bao: Bao, entry: Entry
) -> None:
    """Nobody has told the store: the client gets the upstream's word, and the store its peace."""
    bao.put("tenants/refused/crm", key="of-no-use-any-more")
    running = await gateway(routes(entry.section("{fresh: 60s}"), keyed.url))
    bao.forget_requests()
    seen = Counter[int]()
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.5
    await clients(running, "refused", seen, lambda: loop.time() < end)
    assert set(seen) == {401}
    assert seen.total() > 3 * CLIENTS
    assert max(keyed.attempts.values()) == 1
    assert 2 <= bao.reads("tenants/refused/crm") <= 6


async def test_a_body_that_is_streamed_is_not_sent_twice_and_the_next_request_has_the_new_key(
    gateway: MakeGateway, keyed: Keyed, bao: Bao, entry: Entry
) -> None:
    bao.put("tenants/streaming/crm", key="old-key-of-streaming")
    keyed.key = "old-key-of-streaming"
    options = f"{TENANTS}, {USE}, keep_body: 8KiB"
    running = await gateway(routes(entry.section("{fresh: 60s}"), keyed.url, options))
    client = await running.client()
    assert await streamed(client, "streaming", "1-2") == 200
    keyed.key = "new-key-of-streaming"
    await asyncio.to_thread(bao.put, "tenants/streaming/crm", key=keyed.key)
    assert await streamed(client, "streaming", "2-2") == 401
    assert await streamed(client, "streaming", "3-2") == 200
    assert keyed.attempts["2-2"] == 1


async def streamed(client: RawClient, tenant: str, number: str) -> int:
    """Send a request whose body comes in two parts, and return the status."""
    raw = numbered(tenant, number)
    client.send(raw[:-1024])
    await asyncio.sleep(0.05)
    client.send(raw[-1024:])
    return (await client.reply()).status


async def test_while_vault_is_paused_a_refused_credential_is_told_by_the_upstreams_own_answer(
    gateway: MakeGateway, keyed: Keyed, bao: Bao, entry: Entry
) -> None:
    bao.put("tenants/hung/crm", key="old-key-of-hung")
    keyed.key = "old-key-of-hung"
    running = await gateway(routes(entry.section("{fresh: 60s}"), keyed.url))
    client = await running.client()
    client.send(numbered("hung", "1-0"))
    assert (await client.reply()).status == 200
    keyed.key = "new-key-of-hung"
    bao.pause()
    try:
        began = asyncio.get_running_loop().time()
        client.send(numbered("hung", "1-1"))
        assert (await client.reply()).status == 401
        assert asyncio.get_running_loop().time() - began < 1.0
    finally:
        bao.resume()
    bao.put("tenants/hung/crm", key=keyed.key)
    async with asyncio.timeout(5):
        client.send(numbered("hung", "2-0"))
        while (await client.reply()).status != 200:
            await asyncio.sleep(0.1)
            client.send(numbered("hung", "2-0"))
