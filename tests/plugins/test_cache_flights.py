"""One asks the upstream while others wait; bodies on their way into the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from cache_kit import Caching, body_of, status_of
from plugin_kit import Kit, request_of

from proxy import EXCHANGE, Answer, GatewayError

# -- waiting for others


class Slow:
    """A rest of the chain that answers when it is told to, or never."""

    def __init__(self, caching: Caching) -> None:
        self._caching = caching
        self.go = asyncio.Event()
        self.asked = 0

    async def __call__(self, request: web.BaseRequest) -> Answer:
        self.asked += 1
        await self.go.wait()
        return await self._caching.upstream(request)

    def start(self, **how: Any) -> asyncio.Task[Answer]:
        request = request_of(**how)
        return asyncio.ensure_future(self._caching.plugin(request, self))


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_asks_and_the_others_wait(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    slow = Slow(caching)
    tasks = [slow.start() for _ in range(10)]
    tasks.append(slow.start(method="HEAD"))
    await turns()
    slow.go.set()
    results = [status_of(await task) for task in tasks]
    assert results == ["fwd=uri-miss; stored; ttl=60"] + ["fwd=uri-miss; collapsed; ttl=60"] * 10
    assert slow.asked == 1


async def test_an_answer_that_is_not_for_others_lets_them_go_at_once(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: no-store")
    slow = Slow(caching)
    tasks = [slow.start() for _ in range(5)]
    await turns()
    assert slow.asked == 1
    slow.go.set()
    for task in tasks:
        assert status_of(await task) == "fwd=uri-miss"
    assert slow.asked == 5
    slow.go.clear()
    more = [slow.start() for _ in range(3)]
    await turns()
    assert slow.asked == 8, "and nobody waits for it again"
    slow.go.set()
    await asyncio.gather(*more)


async def test_whoever_asks_may_leave_and_the_next_one_asks(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    slow = Slow(caching)
    tasks = [slow.start() for _ in range(4)]
    await turns()
    for leaving in (tasks[0], tasks[2]):
        leaving.cancel()
    await turns()
    assert slow.asked == 2
    slow.go.set()
    assert status_of(await tasks[1]) == "fwd=uri-miss; stored; ttl=60"
    assert status_of(await tasks[3]) == "fwd=uri-miss; collapsed; ttl=60"
    assert slow.asked == 2


async def test_nobody_waits_longer_than_the_option_says(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", wait="10ms")
    slow = Slow(caching)
    first = slow.start()
    await turns()
    second = slow.start()
    async with asyncio.timeout(2):
        while slow.asked < 2:
            await asyncio.sleep(0.005)
    slow.go.set()
    for task in (first, second):
        assert status_of(await task) == "fwd=uri-miss; stored; ttl=60"


@pytest.mark.parametrize(
    "sent", [{"Cache-Control": "no-cache"}, {"Accept": "text/event-stream"}], ids=str
)
async def test_such_a_request_waits_for_nobody(kit: Kit, sent: dict[str, str]) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    slow = Slow(caching)
    tasks = [slow.start(), slow.start(sent_on=sent)]
    await turns()
    assert slow.asked == 2
    slow.go.set()
    await asyncio.gather(*tasks)


async def test_others_get_the_stale_answer_while_one_asks_again(kit: Kit) -> None:
    control = "Cache-Control: max-age=1, stale-while-revalidate=60"
    caching = await Caching.begin(kit, control, 'ETag: "a"')
    await caching.ask()
    caching.time.passes(30)
    slow = Slow(caching)
    first = slow.start()
    await turns()
    other = await slow.start()
    assert status_of(other) == "hit; detail=stale-while-revalidate; ttl=-29"
    assert other.header("Age") == "30"
    caching.upstream.status = 304
    slow.go.set()
    assert status_of(await first).startswith("fwd=stale; fwd-status=304")
    assert slow.asked == 1


async def test_what_differs_by_vary_is_waited_for_once(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", "Vary: Accept")
    slow = Slow(caching)
    tasks = [slow.start(sent_on={"Accept": f"text/{number}"}) for number in range(4)]
    await turns()
    slow.go.set()
    for task in tasks:
        assert "stored" in status_of(await task)
    assert slow.asked == 4


async def test_what_was_changed_meanwhile_is_not_stored(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    slow = Slow(caching)
    first = slow.start()
    await turns()
    await caching.ask("POST")
    slow.go.set()
    await first
    assert status_of(await caching.ask()).startswith("fwd=uri-miss")


# -- bodies


async def test_a_body_is_stored_as_it_goes_by_and_its_end_counts(kit: Kit) -> None:
    caching = await Caching.begin(kit, max_entry="8B")

    async def streamed(parts: list[bytes], *, broken: bool = False) -> AsyncIterator[bytes]:
        for part in parts:
            yield part
        if broken:
            raise GatewayError("upstream_reset_mid_body")

    def answering(parts: list[bytes], *, broken: bool = False) -> Any:
        async def handler(request: web.BaseRequest) -> Answer:
            answer = Answer(headers={"Cache-Control": "max-age=60"})
            answer.body = streamed(parts, broken=broken)
            return answer

        return handler

    for parts, broken in (([b"too ", b"long ", b"x"], False), ([b"cut"], True)):
        request = request_of()
        answer = await caching.plugin(request, answering(parts, broken=broken))
        got = b""
        try:
            async for chunk in answer.body:
                got += chunk
        except GatewayError:
            assert broken
        for callback in request[EXCHANGE].callbacks or []:
            callback(request[EXCHANGE])
        assert got == b"".join(parts)
        assert (len(caching.plugin._parts.store), caching.plugin._parts.store.used) == (0, 0)
    answer = await caching.plugin(request_of(), answering([b"four", b"more"]))
    assert b"".join([chunk async for chunk in answer.body]) == b"fourmore"
    again = await caching.ask()
    assert (body_of(again), again.header("Content-Length")) == (b"fourmore", "8")
