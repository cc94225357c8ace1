"""Targets that are asked whether they are well, backups, slow starts, panic and what a reload keeps."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import PATH, Backend, nothing_is_held, only, service, states
from tests.functional.kit import Gateway, request
from tests.functional.loadkit import load

CHECKS = "health: {path: /health, interval: 50ms, timeout: 50ms, jitter: 0%}"


async def whom(running: Gateway, times: int = 12) -> str:
    """Ask so many times and return who answered, each once; anything but 200 is a failure."""
    replies = [await running.get(PATH) for _ in range(times)]
    assert {reply.status for reply in replies} == {200}
    return "".join(sorted({reply.body.decode() for reply in replies}))


async def ready(running: Gateway) -> str:
    """Return what /ready says of the service."""
    found = json.loads((await running.admin("/ready")).body)["checks"]
    return next(str(value) for name, value in found.items() if name.endswith("s"))


async def test_a_target_whose_path_answers_404_is_left_out_and_ready_says_so(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[1].health = 404
    running = await gateway(service(three, f"{CHECKS}\noutliers: false"))
    await until(lambda: states(running) == "ok unhealthy ok")
    assert await whom(running) == "ac"
    told = await ready(running)
    assert three[1].url in told
    assert "1 of 3 left out" in told
    assert "GET /health answers 404, not 2xx" in told
    assert three[1].requests == 0
    assert running.host.gateway.snapshot is not None


async def test_checks_need_their_thresholds_both_ways(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    checks = "{path: /health, interval: 50ms, timeout: 50ms, jitter: 0%, unhealthy: 3, healthy: 4}"
    running = await gateway(service(three, f"health: {checks}\noutliers: false"))
    (target,) = only(running).targets[1:2]
    assert target.standing is not None
    await until(lambda: target.standing and target.standing.checks[True] >= 2)
    three[1].health = 503
    await until(lambda: states(running) == "ok unhealthy ok")
    assert target.standing.checks[False] == 3
    passed = target.standing.checks[True]
    three[1].health = 204
    await until(lambda: states(running) == "ok ok ok")
    assert target.standing.checks[True] - passed == 4
    assert await whom(running) == "abc"


@pytest.mark.parametrize("away", ["dead", "silent"])
async def test_a_target_that_dies_is_left_out_by_checks_and_comes_back(
    gateway: MakeGateway, three: list[Backend], away: str
) -> None:
    """Requests that met it before are tried again: no client sees any of it."""
    running = await gateway(
        service(three, f"{CHECKS}\noutliers: false", retry="{per_try: 100ms, floor: 1000}")
    )
    await until(lambda: all(one.checks for one in three))
    async with load(running) as seen:
        await asyncio.sleep(0.2)
        if away == "dead":
            await three[1].kill()
        else:
            three[1].mode = "hang"
            three[1].health = 0  # never answered
        await until(lambda: states(running) == "ok unhealthy ok")
        gone = seen.now()
        await asyncio.sleep(0.4)
        back = seen.now()
        three[1].mode, three[1].health = "ok", 200
        if away == "dead":
            await three[1].start()
        await until(lambda: states(running) == "ok ok ok")
        await asyncio.sleep(0.3)
    assert seen.failures() == []
    assert [one.body for one in seen.outcomes if gone + 0.15 < one.at < back].count(b"b") == 0
    assert seen.counts(back)["b"] > 5
    nothing_is_held(running)


async def test_without_a_path_a_connection_is_enough(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(service(three, "health: {interval: 50ms, timeout: 50ms, unhealthy: 1}"))
    await until(lambda: all(one.connections for one in three))
    assert [one.checks for one in three] == [0, 0, 0]
    await three[2].kill()
    await until(lambda: states(running) == "ok ok unhealthy")
    assert "the connection: upstream_connect_refused" in await ready(running)
    assert await whom(running) == "ab"


async def test_when_no_target_is_well_all_are_asked(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """The check is wrong, the targets are not: that must not take the service away."""
    for one in three:
        one.health = 500
    running = await gateway(service(three, CHECKS))
    await until(lambda: states(running) == "unhealthy unhealthy unhealthy")
    assert await whom(running) == "abc"
    assert only(running).status().panicking
    assert "none is well, so all are asked" in await ready(running)
    three[0].health = 200
    await until(lambda: "ok" in states(running))
    assert await whom(running) == "a"
    assert not only(running).status().panicking


async def test_a_backup_takes_over_when_the_others_are_gone_and_gives_back(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    first, second, spare = three
    text = service(
        [first, second], f"{CHECKS}\noutliers: false", retry="{attempts: 3, floor: 1000}"
    ).replace("      targets:", f"      targets:\n        - {{url: {spare.url}, backup: true}}")
    running = await gateway(text)
    await until(lambda: all(one.checks for one in three))
    assert await whom(running) == "ab"
    async with load(running) as seen:
        await asyncio.sleep(0.2)
        await first.kill()
        await until(lambda: states(running) == "ok unhealthy ok")
        assert seen.counts().keys() == {"a", "b"}, "one that is well is enough"
        await second.kill()
        await until(lambda: states(running) == "ok unhealthy unhealthy")
        alone = seen.now()
        await asyncio.sleep(0.3)
        assert seen.counts(alone).keys() == {"c"}
        assert not only(running).status().panicking
        await first.start()
        await until(lambda: states(running) == "ok ok unhealthy")
        back = seen.now()
        await asyncio.sleep(0.3)
    assert seen.counts(back + 0.05).keys() == {"a"}
    assert seen.failures() == []
    nothing_is_held(running)


async def test_a_backup_is_tried_when_the_only_other_target_fails_a_request(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """No check and no ejection needed: this request can't wait for them."""
    await three[0].kill()
    running = await gateway(service(three[:1], "outliers: false", three[1]))
    assert await whom(running, 4) == "b"


async def test_a_target_that_comes_back_gets_its_share_slowly(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(
        service(three[:2], f"{CHECKS}\noutliers: false\nslow_start: 1s", retry="{floor: 1000}")
    )
    three[1].health = 500
    await until(lambda: states(running) == "ok unhealthy")
    async with load(running, rate=200.0) as seen:
        three[1].health = 200
        await until(lambda: states(running) == "ok ok")
        back = seen.now()
        await asyncio.sleep(1.5)

    def share(begin: float, end: float) -> float:
        window = [one for one in seen.outcomes if back + begin <= one.at < back + end]
        return sum(one.body == b"b" for one in window) / len(window)

    assert share(0.0, 0.15) < 0.25, "from a tenth beside a whole"
    assert share(0.15, 0.6) < 0.42
    assert 0.44 < share(1.05, 1.5) < 0.56
    assert seen.failures() == []


async def test_no_more_than_their_share_are_left_out_by_what_they_answer(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """All three fail: one is left out, and clients see what the others say."""
    running = await gateway(service(three, "outliers: {failures: 3, eject_for: 10s}"))
    for one in three:
        one.mode = "500"
    replies = [await running.get(PATH) for _ in range(60)]
    assert {reply.status for reply in replies} == {500}
    assert Counter(states(running).split()) == {"ok": 2, "ejected": 1}
    assert not only(running).status().panicking


async def test_with_the_whole_share_all_may_be_left_out_and_then_all_are_asked(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    running = await gateway(service(three, "outliers: {failures: 3, eject_for: 200ms, most: 100%}"))
    for one in three:
        one.mode = "500"
    for _ in range(12):
        await running.get(PATH)
    assert states(running) == "ejected ejected ejected"
    assert only(running).status().panicking
    for one in three:
        one.mode = "ok"
    assert await whom(running) == "abc"
    await until(lambda: states(running) == "ok ok ok")


# -- over a reload


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (("concurrent: 100", "concurrent: 101"), True),
        (("failures: 3", "failures: 4"), False),
    ],
    ids=["another size", "another way of watching"],
)
async def test_who_is_left_out_stays_so_over_a_reload_that_watches_as_before(
    gateway: MakeGateway, three: list[Backend], change: tuple[str, str], *, kept: bool
) -> None:
    text = service(three, "concurrent: 100\noutliers: {failures: 3, eject_for: 1500ms}")
    running = await gateway(text)
    three[1].mode = "500"
    async with load(running) as seen:
        await until(lambda: states(running) == "ok ejected ok")
        three[1].mode = "ok"
        before = only(running)
        running.path.write_text(text.replace(*change))
        assert await running.reload() is None
        assert only(running) is not before
        assert states(running) == ("ok ejected ok" if kept else "ok ok ok")
        await until(lambda: states(running) == "ok ok ok")
        back = seen.now()
        await asyncio.sleep(0.2)
    assert seen.counts(back)["b"] > 2
    assert before.in_flight == 0
    nothing_is_held(running)


async def test_a_reload_that_changes_another_service_keeps_the_upstream_as_it_is(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    text = service(three, f"{CHECKS}\noutliers: {{failures: 3, eject_for: 30s}}")
    running = await gateway(text)
    three[1].mode = "500"
    for _ in range(12):
        await running.get(PATH)
    assert states(running) == "ok ejected ok"
    before = only(running)
    running.path.write_text(text + '  other: {upstream: "http://127.0.0.1:1", public: true}\n')
    assert await running.reload() is None
    assert before in running.host.gateway.snapshot.upstreams.values()
    assert " ".join(one.state for one in before.status().targets) == "ok ejected ok"


async def test_a_reload_that_is_refused_leaves_checks_and_states_alone(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    text = service(three, f"{CHECKS}\nconcurrent: 100")
    running = await gateway(text)
    three[1].health = 500
    await until(lambda: states(running) == "ok unhealthy ok")
    broken = text.replace("concurrent: 100", "concurrent: 101")
    broken += '  bad: {upstream: "http://127.0.0.1:1", plugins: [no-such]}\n'
    running.path.write_text(broken)
    assert await running.reload() is not None
    checks = three[1].checks
    await until(lambda: three[1].checks > checks + 2)
    three[1].health = 200
    await until(lambda: states(running) == "ok ok ok")


async def test_checks_end_with_their_upstream(gateway: MakeGateway, three: list[Backend]) -> None:
    text = service(three, CHECKS)
    running = await gateway(text)
    await until(lambda: all(one.checks for one in three))
    running.path.write_text(service(three[:1]))
    assert await running.reload() is None
    await asyncio.sleep(0.1)
    checks = [one.checks for one in three]
    await asyncio.sleep(0.2)
    assert [one.checks for one in three] == checks


async def test_an_upstream_that_was_replaced_asks_no_more_and_forbids_no_ejection(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    three[0].mode = "stream"
    settings = f"{CHECKS}\noutliers: {{failures: 3, eject_for: 30s}}"
    running = await gateway(service(three[:1], settings))
    streams = [await running.client()]
    streams[0].send(request(PATH))
    await streams[0].head()
    for number in range(3):
        running.path.write_text(service(three, f"{settings}\nconcurrent: {number + 100}"))
        assert await running.reload() is None
        streams.append(await running.client())
        streams[-1].send(request(PATH))
        await streams[-1].head()
    before = three[0].checks
    await asyncio.sleep(0.5)
    assert three[0].checks - before <= 12, "one group asks every 50 ms, not four"
    three[1].mode = "500"
    for _ in range(12):
        client = await running.client()
        client.send(request(PATH))
        await client.head()
    await until(lambda: states(running) == "ok ejected ok")
