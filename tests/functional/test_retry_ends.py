"""Clients that leave and plugins that interfere between two tries: nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import pytest
from aiohttp import web

from proxy import Answer, Handler
from proxy.runtime import retrying
from proxy.upstream.breaker import CircuitBreaker
from tests.functional import probe
from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import (
    PATH,
    Backend,
    all_are,
    nothing_is_held,
    only,
    service,
    states,
    total,
)
from tests.functional.kit import Gateway, request
from tests.functional.plugins_for_tests import HERE, Behaviour

NOBODY_OUT = "outliers: false"


async def left_alone(running: Gateway, made: list[Backend], when: str) -> None:
    client = await running.client()
    client.send(request(PATH))
    if when == "the pause":
        await until(lambda: probe.RUNNING and len(probe.RUNNING[0].exchange.attempts) == 1)
        await asyncio.sleep(0.02)
    elif when == "Retry-After":
        await until(lambda: total(made) == 1)
        await asyncio.sleep(0.1)
    else:
        await until(lambda: made[1].busy == 1)
    assert only(running).in_flight == 1
    client.close()
    await until(lambda: only(running).in_flight == 0, 1.0)
    nothing_is_held(running)


@pytest.mark.parametrize("when", ["the pause", "Retry-After", "the second head"])
async def test_a_client_that_leaves_between_two_tries_or_in_the_second_leaves_nothing_behind(
    gateway: MakeGateway,
    three: list[Backend],
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    monkeypatch.setattr(retrying, "PAUSE", 5.0)
    used = three[:2]
    three[0].mode, three[1].mode = "reset", "hang"
    if when == "the pause":
        used = three[:1]
        await three[0].kill()
    if when == "Retry-After":
        all_are(three, "503")
        for one in three:
            one.fields = ("Retry-After: 3",)
    running = await gateway(service(used, NOBODY_OUT, retry="{statuses: [503], wait: 5s}"))
    await left_alone(running, used, when)
    await until(lambda: probe.FINISHED)
    assert probe.FINISHED[-1].status == 499


@pytest.mark.parametrize(
    "seed",
    [1, 2, *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, 40))],
)
async def test_clients_that_leave_at_any_moment_leave_nothing_behind(
    gateway: MakeGateway, three: list[Backend], seed: int
) -> None:
    """Every wait of a request is met: slot, connect, upload, head, pause, Retry-After, body."""
    dice = random.Random(seed)
    three[2].fields = ("Retry-After: 1",)
    keys = (
        "concurrent: 6\nqueue: 50\nbreaker: {failures: 4, open_for: 60ms}\n"
        "outliers: {failures: 3, eject_for: 50ms}"
    )
    running = await gateway(
        service(
            three,
            keys,
            retry="{attempts: 5, floor: 10000, per_try: 60ms, statuses: [503], wait: 2s}",
            timeouts="{response: 300ms, pool: 150ms}",
        )
    )

    async def one() -> None:
        client = await running.client()
        if dice.random() < 0.5:
            client.send(request(PATH, "Content-Length: 30000", method="PUT"))
            client.send(b"x" * 10_000)
            await asyncio.sleep(dice.random() * 0.05)
            client.send(b"x" * dice.choice([0, 10_000, 20_000]))
        else:
            client.send(request(PATH))
        with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(dice.random() * 0.3):
                await client.reply()
        client.close()

    async def spoil() -> None:
        for _ in range(12):
            for each in three:
                each.mode = dice.choice(["ok", "reset", "hang", "half", "slow", "503", "500"])
                each.delay = 0.03
            if dice.random() < 0.3:
                await dice.choice(three).restart(0.03)
            await asyncio.sleep(0.05)

    spoiling = asyncio.ensure_future(spoil())
    while not spoiling.done():
        await asyncio.gather(*(one() for _ in range(25)))
    await spoiling
    await until(lambda: running.host.gateway.in_flight == 0)
    nothing_is_held(running)
    assert {one.prober for one in _breakers(running)} == {None}
    all_are(three, "ok")
    three[2].fields = ()
    await until(lambda: "ejected" not in states(running))
    await until(lambda: "open" not in states(running).split())
    for _ in range(6):
        assert (await running.get(PATH)).status == 200
    assert states(running) == "ok ok ok", "everybody found back"


def _breakers(running: Gateway) -> list[CircuitBreaker]:
    standings = [one.standing for one in only(running).targets]
    return [each.breaker for each in standings if each is not None and each.breaker is not None]


async def test_a_plugin_that_calls_the_handler_again_while_it_waits_takes_nothing_twice(
    gateway: MakeGateway, three: list[Backend], behave: Callable[[Behaviour], Behaviour]
) -> None:
    """Its first call ends with an error, is not tried again, and gives back what it had once."""
    first: list[Answer] = []

    @behave
    async def hedge(asked: web.BaseRequest, handler: Handler) -> Answer:
        early = asyncio.ensure_future(handler(asked))
        await asyncio.sleep(0.05)
        answer = await handler(asked)
        first.append(await early)
        return answer

    for one in three:
        one.mode, one.delay = "slow", 0.15
    text = service(three, NOBODY_OUT, retry="{attempts: 4, floor: 100}")
    running = await gateway(
        text + f'    plugins: [{{use: "{HERE}:Behave", with: {{do: hedge}}}}]\n'
    )
    for _ in range(3):
        reply = await running.get(PATH)
        assert reply.status == 200
    assert {answer.error.code for answer in first if answer.error} == {"gateway_failed"}
    assert len(first) == 3
    assert total(three) == 6, "none of them was tried again"
    nothing_is_held(running)
    assert [one.in_flight for one in only(running).targets] == [0, 0, 0]


async def test_a_plugin_that_gives_up_a_call_and_makes_another_holds_one_slot(
    gateway: MakeGateway, three: list[Backend], behave: Callable[[Behaviour], Behaviour]
) -> None:
    held: list[int] = []

    @behave
    async def impatient(asked: web.BaseRequest, handler: Handler) -> Answer:
        try:
            async with asyncio.timeout(0.05):
                return await handler(asked)
        except TimeoutError:
            answer = await handler(asked)
            held.append(only(running).in_flight)
            return answer

    three[0].mode = "hang"
    text = service(three[:2], NOBODY_OUT)
    running = await gateway(
        text + f'    plugins: [{{use: "{HERE}:Behave", with: {{do: impatient}}}}]\n'
    )
    for _ in range(4):
        assert (await running.get(PATH)).body == b"b"
    assert set(held) == {1}
    nothing_is_held(running)
