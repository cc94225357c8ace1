"""Retries are a share of the requests, so that they can't bury what is failing (row 25)."""

from __future__ import annotations

import asyncio

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import PATH, Backend, all_are, nothing_is_held, only, service, total
from tests.functional.kit import request
from tests.functional.loadkit import load

NOBODY_OUT = "outliers: false"


@pytest.mark.parametrize(
    ("budget", "requests", "retries"),
    [
        ("{budget: 20%, floor: 0}", 50, 10),
        ("{budget: 20%, floor: 5}", 20, 5),
        ("{budget: 0%, floor: 0}", 20, 0),
    ],
)
async def test_retries_are_a_share_of_the_requests_or_the_floor(
    gateway: MakeGateway, three: list[Backend], budget: str, requests: int, retries: int
) -> None:
    all_are(three, "reset")
    running = await gateway(service(three, NOBODY_OUT, retry=budget))
    client = await running.client()
    for _ in range(requests):
        client.send(request(PATH))
        assert (await client.reply()).status == 502
    assert total(three) == requests + retries
    assert only(running).status().retries_refused == requests - retries


@pytest.mark.parametrize(
    "seconds",
    [1.5, pytest.param(40.0, marks=[pytest.mark.soak, pytest.mark.timeout(150)])],
)
async def test_a_storm_of_retries_stays_within_the_budget(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """Every target fails every request, and each would be tried five times.

    The share is of ten seconds that move on in tenths: behind them it may be over by one tenth of it.
    """
    all_are(three, "reset")
    running = await gateway(
        service(three, NOBODY_OUT, retry="{attempts: 5, budget: 20%, floor: 0}")
    )
    async with load(running, clients=16, rate=400) as seen:
        await asyncio.sleep(seconds)
    asked = len(seen.outcomes)
    assert asked > 100
    assert total(three) <= asked * (1.2 if seconds < 9 else 1.22)
    assert total(three) >= asked * 1.15, "and it is used"
    nothing_is_held(running)


async def test_the_budget_of_one_upstream_is_not_anothers(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode = "reset"
    text = service(three[:1], retry="{budget: 0%, floor: 3}")
    text += f'  t: {{public: true, upstream: "{three[1].url}", retry: {{budget: 0%, floor: 3}}}}\n'
    running = await gateway(text)
    for _ in range(6):
        await running.get(PATH)
    assert three[0].requests == 6 + 3
    three[1].mode = "reset"
    await running.get("/api/brain/t/x")
    assert three[1].requests == 2
