"""Clients that leave and plugins that interfere between two tries: nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest

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
    total,
)
from tests.functional.kit import Gateway, request

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
    from proxy.runtime import retrying

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
