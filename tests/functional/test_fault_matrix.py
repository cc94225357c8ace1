"""One of three targets goes wrong under a steady load: what clients see of it (row 27).

In every case the load is of requests that may be sent twice, the target `b` is the bad one, and
behind the warm-up (the bad ends that it takes to leave the target out) no client sees a failure.
What may be seen before is each test's own bound, with its reason.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import PATH, Backend, nothing_is_held, only, service, states
from tests.functional.kit import Gateway
from tests.functional.loadkit import Load, load

OUTLIERS = "outliers: {failures: 5, eject_for: 10s}"
"""Left out for longer than a case lasts, so that what happens behind the warm-up can be seen."""

LASTS = [
    pytest.param(1.5, id="short"),
    pytest.param(40.0, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(150)]),
]


async def spoiled(
    running: Gateway, bad: Backend, mode: str, seconds: float, *, rate: float = 160.0
) -> tuple[Load, float]:
    """Load a gateway, spoil a target in the middle of it, and let it go on for `seconds`.

    Return what was seen, and when the target was left out, counted as the load does.
    """
    async with load(running, rate=rate) as seen:
        await asyncio.sleep(0.3)
        assert not seen.failures()
        if mode == "dead":
            await bad.kill()
        bad.mode = mode
        await until(lambda: "ejected" in states(running), 5.0)
        out = seen.now()
        await asyncio.sleep(seconds)
    assert states(running) == "ok ejected ok"
    nothing_is_held(running)
    return seen, out


@pytest.mark.parametrize("seconds", LASTS)
@pytest.mark.parametrize("mode", ["dead", "reset"])
async def test_a_target_that_dies_or_resets_before_the_head_is_never_seen(
    gateway: MakeGateway, three: list[Backend], mode: str, seconds: float
) -> None:
    """Each of its requests is safe to send again, and another target answers."""
    running = await gateway(service(three, OUTLIERS, retry="{floor: 50}"))
    seen, out = await spoiled(running, three[1], mode, seconds)
    assert seen.failures() == []
    assert seen.counts(out + 0.1).keys() == {"a", "c"}
    assert only(running).retries.total() <= 20, "5 in a row, and those that were under way"


@pytest.mark.parametrize("seconds", LASTS)
async def test_a_target_that_breaks_off_its_bodies_is_seen_until_it_is_left_out(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """The head is out: nothing can be taken back. 5 bad ends in a row, and 8 clients at once."""
    running = await gateway(service(three, OUTLIERS))
    seen, out = await spoiled(running, three[1], "half", seconds)
    assert all(one.status == 0 for one in seen.failures()), "broken, never a clean end"
    assert 5 <= len(seen.failures()) <= 5 + 8
    assert seen.failures(out + 0.1) == []


@pytest.mark.parametrize("seconds", LASTS)
async def test_a_target_that_answers_500_is_seen_until_it_is_left_out(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """A 500 is an answer, and goes to the client: 5 in a row, and 8 clients at once."""
    running = await gateway(service(three, OUTLIERS))
    seen, out = await spoiled(running, three[1], "500", seconds)
    assert {one.status for one in seen.failures()} == {500}
    assert 5 <= len(seen.failures()) <= 5 + 8
    assert seen.failures(out + 0.1) == []


@pytest.mark.parametrize("seconds", LASTS)
async def test_a_500_that_is_tried_again_is_never_seen(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    running = await gateway(
        service(three, OUTLIERS, retry="{statuses: [500, 502, 503, 504], floor: 50}")
    )
    seen, _ = await spoiled(running, three[1], "500", seconds)
    assert seen.failures() == []


@pytest.mark.parametrize("seconds", LASTS)
async def test_a_target_that_accepts_and_never_answers_is_not_seen_with_a_time_for_each_try(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """Who met it waits for one `per_try` and is answered by another target."""
    running = await gateway(service(three, OUTLIERS, retry="{per_try: 100ms, floor: 50}"))
    seen, out = await spoiled(running, three[1], "hang", seconds)
    assert seen.failures() == []
    slow = [one for one in seen.outcomes if one.seconds > 0.09]
    assert 5 <= len(slow) <= 5 + 8
    assert all(one.seconds < 0.4 for one in slow)
    assert [one for one in slow if one.at > out + 0.1] == []


@pytest.mark.parametrize("seconds", LASTS)
async def test_without_it_a_silent_target_is_seen_as_a_timeout_until_it_is_left_out(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """Nobody knows whether the request was done, and its whole time is over: 504."""
    running = await gateway(service(three, OUTLIERS, timeouts="{response: 200ms}"))
    seen, out = await spoiled(running, three[1], "hang", seconds)
    assert {one.status for one in seen.failures()} == {504}
    assert 5 <= len(seen.failures()) <= 5 + 8
    assert seen.failures(out + 0.1) == []


@pytest.mark.parametrize("seconds", LASTS)
async def test_a_slow_target_is_seen_by_nobody_else_and_by_nobody_with_a_time_for_each_try(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """One second against tries of 0.3 s: as a silent one. Without, it is slow and no failure."""
    running = await gateway(service(three, OUTLIERS, retry="{per_try: 300ms, floor: 50}"))
    seen, out = await spoiled(running, three[1], "slow", seconds)
    assert seen.failures() == []
    assert max(one.seconds for one in seen.outcomes) < 0.8
    assert max(one.seconds for one in seen.outcomes if one.at > out + 0.1) < 0.25


@pytest.mark.parametrize("seconds", LASTS)
async def test_least_requests_sends_little_to_who_is_slow(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """Each request that hangs there is one less that is sent there; a turn each would give a third."""
    running = await gateway(service(three, "balance: least-requests\noutliers: false"))
    three[1].mode = "slow"
    async with load(running, rate=160.0) as seen:
        await asyncio.sleep(seconds)
    assert seen.failures() == []
    share = seen.counts()["b"] / sum(seen.counts().values())
    assert 0 < share < 0.1
    nothing_is_held(running)


@pytest.mark.parametrize("seconds", LASTS)
async def test_a_target_that_comes_and_goes_is_never_seen(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """It resets for 100 ms and is well for 100 ms, and so on: ejections grow, tries are repeated."""
    bad = three[1]
    running = await gateway(
        service(
            three,
            "outliers: {failures: 3, eject_for: 50ms, longest: 400ms}",
            retry="{floor: 10000}",
        )
    )
    async with load(running) as seen:
        while seen.now() < seconds + 0.5:
            bad.mode = "reset" if bad.mode == "ok" else "ok"
            await asyncio.sleep(0.1)
    assert seen.failures() == []
    assert only(running).status().targets[1].ejections >= 2
    nothing_is_held(running)


@pytest.mark.parametrize("seconds", LASTS)
async def test_a_rolling_restart_of_all_is_never_seen(
    gateway: MakeGateway, three: list[Backend], seconds: float
) -> None:
    """Idle connections go stale, requests under way are reset, new ones are refused: all repeated.

    A stale connection counts against nobody, else the restarted would be left out when they are back.
    """
    running = await gateway(
        service(three, "outliers: {failures: 5, eject_for: 100ms}", retry="{floor: 10000}")
    )
    for one in three:
        one.mode, one.delay = "slow", 0.02
    async with load(running, clients=12) as seen:
        while seen.now() < seconds:
            for one in three:
                await asyncio.sleep(0.15)
                await one.restart(0.15)
        await asyncio.sleep(0.3)
        since = seen.now()
        await asyncio.sleep(0.3)
    assert seen.failures() == []
    assert seen.counts(since).keys() == {"a", "b", "c"}
    nothing_is_held(running)


async def test_a_restart_that_makes_all_connections_stale_leaves_nobody_out(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """Twelve idle connections die at once: that is one restart, not twelve failures."""
    running = await gateway(service(three[:2], "outliers: {failures: 2}"))
    for one in three[:2]:
        one.mode, one.delay = "slow", 0.05
    async with load(running, clients=12, rate=1000) as seen:
        await asyncio.sleep(0.3)
    assert len(only(running).targets[0].idle) >= 5
    three[0].forget()
    replies = await asyncio.gather(*(running.get(PATH) for _ in range(12)))
    assert [one.status for one in replies] == [200] * 12
    assert only(running).retries["stale-connection"] >= 5
    assert states(running) == "ok ok"
    assert seen.failures() == []


async def test_a_stale_connection_that_costs_a_post_opens_no_breaker(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """It is not sent twice, so the client sees it; the target is well all the same."""
    running = await gateway(service(three[:1], "breaker: {failures: 1, open_for: 60s}"))
    assert (await running.get(PATH)).status == 200
    three[0].forget()
    assert (await running.get(PATH, method="POST", body=b"pay")).status == 502
    assert states(running) == "ok"
    assert (await running.get(PATH, method="POST", body=b"pay")).status == 200
