"""Load that is shed: per upstream, and for the whole process (semantics.md, rows 23 and 28)."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Iterator
from time import perf_counter

import pytest

from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import (
    PATH,
    Backend,
    code,
    nothing_is_held,
    only,
    service,
)
from tests.functional.kit import Gateway, RawClient, request
from tests.functional.loadkit import load

OTHER = "/api/brain/t/x"


@pytest.fixture
def many_descriptors() -> Iterator[int]:
    """Raise the soft limit as far as the hard one allows, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 20_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def asking(running: Gateway, number: int, target: str = PATH) -> list[RawClient]:
    """Open so many connections and send a request on each."""
    clients = []
    for at in range(0, number, 100):
        several = [running.client() for _ in range(min(100, number - at))]
        clients += await asyncio.gather(*several)
        await asyncio.sleep(0)
    for client in clients:
        client.send(request(target))
    return clients


async def test_beyond_slots_and_queue_503_comes_at_once_and_says_when_to_come(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode = "hang"
    running = await gateway(
        service(three[:1], "concurrent: 5\nqueue: 3", timeouts="{pool: 300ms, response: 2s}")
    )
    await asking(running, 5)
    await until(lambda: three[0].busy == 5)
    waiting = await asking(running, 3)
    await until(lambda: only(running).status().waiting == 3)
    began = perf_counter()
    replies = await asyncio.gather(*(running.get(PATH) for _ in range(10)))
    assert perf_counter() - began < 0.25, "at once, before anybody's wait was over"
    assert {(one.status, code(one)) for one in replies} == {(503, "upstream_saturated")}
    assert all(int(one.header("Retry-After") or 0) >= 1 for one in replies)
    timed_out = await asyncio.gather(*(client.reply() for client in waiting))
    assert {(one.status, code(one)) for one in timed_out} == {(503, "upstream_pool_timeout")}
    assert all(int(one.header("Retry-After") or 0) >= 1 for one in timed_out)
    assert three[0].requests == 5
    assert [one.state for one in only(running).status().targets] == ["ok"]


async def test_a_slot_is_kept_over_tries_and_given_to_who_waits(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode, three[1].mode, three[1].delay = "reset", "slow", 0.02
    running = await gateway(
        service(
            three[:2],
            "concurrent: 2\nqueue: 100\noutliers: false",
            retry="{floor: 1000}",
            timeouts="{pool: 3s}",
        )
    )
    replies = await asyncio.gather(*(running.get(PATH) for _ in range(40)))
    assert {one.status for one in replies} == {200}
    assert three[1].most_busy <= 2
    nothing_is_held(running)


async def test_what_is_shed_counts_against_no_target(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode, three[0].delay = "slow", 0.1
    running = await gateway(
        service(three[:1], "concurrent: 1\nqueue: 0\nbreaker: {failures: 1, open_for: 30s}")
    )
    replies = await asyncio.gather(*(running.get(PATH) for _ in range(10)))
    assert Counter(one.status for one in replies) == {200: 1, 503: 9}
    assert [one.state for one in only(running).status().targets] == ["ok"]


async def test_the_whole_process_has_a_bound_and_its_own_pages_still_answer(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode = "hang"
    text = service(three[:1]) + f'  t: {{public: true, upstream: "{three[1].url}"}}\n'
    text += "gateway: {limits: {in_flight: 20}, expose: {health: any}}\n"
    running = await gateway(text)
    hanging = await asking(running, 20)
    await until(lambda: three[0].busy == 20)
    for target in (PATH, OTHER):
        began = perf_counter()
        reply = await running.get(target)
        assert (reply.status, code(reply)) == (503, "overloaded")
        assert int(reply.header("Retry-After") or 0) >= 1
        assert perf_counter() - began < 0.25
    assert three[1].requests == 0
    assert (await running.get("/health")).status == 200
    assert (await running.admin("/health")).status == 200
    assert (await running.admin("/ready")).status == 200
    hanging[0].close()
    await until(lambda: running.host.gateway.in_flight < 20)
    assert (await running.get(OTHER)).status == 200
    for client in hanging:
        client.close()
    await until(lambda: running.host.gateway.in_flight == 0)


async def test_the_bound_follows_a_reload(gateway: MakeGateway, three: list[Backend]) -> None:
    """What an older snapshot still serves counts towards the new bound."""
    three[0].mode = "hang"
    text = service(three[:1]) + f'  t: {{public: true, upstream: "{three[1].url}"}}\n'
    running = await gateway(text + "gateway: {limits: {in_flight: 2}}\n")
    await asking(running, 2)
    await until(lambda: three[0].busy == 2)
    assert (await running.get(OTHER)).status == 503
    running.path.write_text(text + "gateway: {limits: {in_flight: 1}}\n")
    assert await running.reload() is None
    assert (await running.get(OTHER)).status == 503
    running.path.write_text(text + "gateway: {limits: {in_flight: 3}}\n")
    assert await running.reload() is None
    await asking(running, 1)
    await until(lambda: three[0].busy == 3)
    assert (await running.get(OTHER)).status == 503


@pytest.mark.timeout(120)
async def test_a_thousand_requests_that_hang_make_nobody_else_wait(
    gateway: MakeGateway, three: list[Backend], many_descriptors: int
) -> None:
    """Each takes four descriptors in this process, client and target being in it too.

    Where the hard limit is too low for a thousand there are as many as a sixth of it.
    """
    number = min(1000, many_descriptors // 6)
    three[0].mode = "hang"
    text = service(three[:1], "concurrent: 5000", timeouts="{response: 60s}")
    text += f'  t: {{public: true, upstream: "{three[1].url}"}}\n'
    text += "gateway: {limits: {connections: 4000, per_address: 4000, in_flight: 3000}}\n"
    running = await gateway(text)
    before: list[float] = []
    for _ in range(50):
        began = perf_counter()
        assert (await running.get(OTHER)).status == 200
        before.append(perf_counter() - began)
    hanging = await asking(running, number)
    await until(lambda: three[0].busy == number, 20.0)
    assert running.host.gateway.in_flight == number
    async with load(running, rate=200, make=lambda _: request(OTHER)) as seen:
        await asyncio.sleep(1.5)
    assert seen.failures() == []
    taken = sorted(one.seconds for one in seen.outcomes)
    assert len(taken) > 100
    assert taken[len(taken) // 2] < max(0.02, 5 * sorted(before)[25]), "the median"
    assert taken[-1] < 0.5, "nobody waits for one that hangs"
    for client in hanging:
        client.close()
    await until(lambda: running.host.gateway.in_flight == 0, 20.0)
    nothing_is_held(running)


async def test_the_bound_of_the_process_holds_over_a_reload_that_leaves_requests_behind(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode = "hang"
    text = service(three[:1]).replace(
        "version: 1\n", "version: 1\ngateway: {limits: {in_flight: 2}}\n", 1
    )
    running = await gateway(text)
    clients = await asking(running, 2)
    await until(lambda: three[0].busy == 2)
    for number in range(2):
        running.path.write_text(text.replace("in_flight: 2", f"in_flight: 2, hops: {number + 5}"))
        assert await running.reload() is None
        assert code(await running.get(PATH)) == "overloaded"
    clients[0].close()
    await until(lambda: running.host.gateway.in_flight == 1)
    three[0].mode = "ok"
    assert (await running.get(PATH)).status == 200
    clients[1].close()
    await until(lambda: running.host.gateway.in_flight == 0)
    assert running.host.gateway.snapshot.most == 2
