"""When a request is tried again, and for how long: timers, statuses and Retry-After (row 25)."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import (
    PATH,
    Backend,
    all_are,
    code,
    nothing_is_held,
    only,
    service,
    total,
    words,
)

NOBODY_OUT = "outliers: false"


# -- how long


async def test_all_tries_together_take_no_longer_than_one_may(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """500 ms in all, 200 ms each: two whole ones, and what is left for the third."""
    all_are(three, "hang")
    running = await gateway(
        service(
            three,
            NOBODY_OUT,
            retry="{attempts: 10, per_try: 200ms}",
            timeouts="{response: 500ms}",
        )
    )
    started = perf_counter()
    reply = await running.get(PATH)
    taken = perf_counter() - started
    assert (reply.status, code(reply)) == (504, "upstream_response_timeout")
    assert 0.45 < taken < 0.7
    assert total(three) == 3
    assert words() == ["per-try-timeout", "per-try-timeout", "too-late"]
    nothing_is_held(running)


@pytest.mark.parametrize("why", ["Retry-After", "refused"])
async def test_a_pause_takes_nothing_from_the_time_of_the_next_try(
    gateway: MakeGateway, three: list[Backend], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Each may take 50 ms, all together 25 s: to wait longer than 50 ms between them is no matter."""
    from proxy.runtime import retrying

    monkeypatch.setattr(retrying, "PAUSE", 0.2)
    only_one = three[0]
    running = await gateway(service([only_one], retry="{statuses: [503], wait: 2s, per_try: 50ms}"))
    if why == "refused":
        await only_one.kill()
        back = asyncio.ensure_future(only_one.restart(0.05))
    else:
        only_one.mode, only_one.fields = "503", ("Retry-After: 1",)
        back = asyncio.ensure_future(asyncio.sleep(0))
    asking = asyncio.ensure_future(running.get(PATH))
    await until(lambda: only_one.requests or why == "refused")
    only_one.mode = "ok"
    assert (await asking).status == 200
    await back


async def test_pauses_count_towards_the_whole_time(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """Ten tries of a target that refuses would pause for 25 s; the whole may take 300 ms."""
    await three[0].kill()
    running = await gateway(
        service(three[:1], retry="{attempts: 10}", timeouts="{response: 300ms}")
    )
    started = perf_counter()
    assert (await running.get(PATH)).status == 502
    assert perf_counter() - started < 0.45
    assert words()[-1] == "too-late"


async def test_without_a_time_for_each_try_a_silent_target_is_not_tried_again(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    all_are(three, "hang")
    running = await gateway(service(three, NOBODY_OUT, timeouts="{response: 100ms}"))
    assert (await running.get(PATH)).status == 504
    assert total(three) == 1


# -- statuses


async def test_a_status_that_is_named_is_tried_again_and_another_goes_to_the_client(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(service(three[:2], NOBODY_OUT, retry="{statuses: [503]}"))
    three[0].mode = "503"
    for _ in range(4):
        assert (await running.get(PATH)).body == b"b"
    assert only(running).retries["status"] == 2
    three[0].mode = three[1].mode = "500"
    assert (await running.get(PATH)).status == 500
    assert only(running).retries["status"] == 2


async def test_the_last_answer_goes_to_the_client_as_it_is(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    all_are(three, "503")
    for one in three:
        one.fields = (f"X-From: {one.name}",)
    running = await gateway(service(three, NOBODY_OUT, retry="{attempts: 3, statuses: [503]}"))
    reply = await running.get(PATH)
    assert reply.status == 503
    assert reply.header("X-From") == reply.body.decode(), "an answer of the upstream, not ours"
    assert total(three) == 3
    assert words() == ["status", "status", "attempts"]
    nothing_is_held(running)


async def test_a_retry_after_is_waited_for(gateway: MakeGateway, three: list[Backend]) -> None:
    three[0].mode, three[0].fields = "503", ("Retry-After: 1",)
    running = await gateway(service(three[:2], NOBODY_OUT, retry="{statuses: [503], wait: 2s}"))
    started = perf_counter()
    reply = await running.get(PATH)
    assert (reply.status, reply.body) == (200, b"b")
    assert 1.0 <= perf_counter() - started < 1.5


@pytest.mark.parametrize("asks", ["3", "120", "Fri, 31 Dec 1999 23:59:59 GMT", "-1", "soon"])
async def test_a_retry_after_that_asks_for_too_long_goes_to_the_client(
    gateway: MakeGateway, three: list[Backend], asks: str
) -> None:
    all_are(three, "503")
    for one in three:
        one.fields = (f"Retry-After: {asks}",)
    running = await gateway(service(three, NOBODY_OUT, retry="{statuses: [503], wait: 2s}"))
    started = perf_counter()
    reply = await running.get(PATH)
    assert (reply.status, reply.header("Retry-After")) == (503, asks)
    assert perf_counter() - started < 0.5
    assert total(three) == 1


async def test_a_retry_after_beyond_the_whole_time_goes_to_the_client(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    all_are(three, "503")
    for one in three:
        one.fields = ("Retry-After: 1",)
    running = await gateway(
        service(
            three,
            NOBODY_OUT,
            retry="{statuses: [503], wait: 2s, floor: 1, budget: 0%}",
            timeouts="{response: 300ms}",
        )
    )
    assert (await running.get(PATH)).header("Retry-After") == "1"
    assert words() == ["too-late"]
    for one in three:
        one.fields = ()
    await running.get(PATH)
    assert words() == ["status", "attempts"], "what was not tried again cost no budget"


async def test_a_status_is_held_against_its_target_though_its_body_was_not_waited_for(
    gateway: MakeGateway, three: list[Backend], raw_upstream: object
) -> None:
    bad = three[0]
    bad.mode = "503 in parts"
    running = await gateway(
        service(three[:2], "outliers: {failures: 3}", retry="{statuses: [503], floor: 100}")
    )
    for _ in range(8):
        assert (await running.get(PATH)).body == b"b"
    assert only(running).status().targets[0].state == "ejected"
