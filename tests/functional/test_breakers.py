"""Circuit breakers: closed, open, half-open with one probe, and 503 when all are open (row 27)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

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
    states,
)
from tests.functional.kit import Gateway, RawUpstream, Script, request

BREAKER = "breaker: {failures: 3, open_for: 150ms}\noutliers: false"
ONCE = "{attempts: 1}"


@pytest.fixture
def two(three: list[Backend]) -> list[Backend]:
    return three[:2]


async def opened(running: Gateway, mode: str, bad: Backend, times: int = 3) -> None:
    bad.mode = mode
    for _ in range(times):
        assert (await running.get(PATH)).status >= 500


@pytest.mark.parametrize("mode", ["reset", "half", "502", "503", "504", "dead", "hang"])
async def test_so_many_failures_in_a_row_open_it_and_clients_are_told_when_to_come(
    gateway: MakeGateway, two: list[Backend], mode: str
) -> None:
    running = await gateway(
        service(
            two[:1],
            "breaker: {failures: 3, open_for: 30s}",
            retry=ONCE,
            timeouts="{response: 50ms}",
        )
    )
    only_one = two[0]
    if mode == "dead":
        await only_one.kill()
    only_one.mode = mode
    for _ in range(3):
        client = await running.client()
        client.send(request(PATH))
        await client.head()
        await until(lambda: only(running).in_flight == 0)
    assert states(running) == "open"
    seen = only_one.requests
    reply = await running.get(PATH)
    assert (reply.status, code(reply)) == (503, "upstream_unavailable")
    assert reply.header("Retry-After") in ("29", "30")
    assert only_one.requests == seen, "nothing is sent"
    told = json.loads((await running.admin("/ready")).body)
    assert "open for" in json.dumps(told)
    nothing_is_held(running)


async def test_a_plain_500_and_a_404_open_nothing(gateway: MakeGateway, two: list[Backend]) -> None:
    running = await gateway(service(two[:1], BREAKER))
    for mode in ("500", "404", "500", "501", "500"):
        two[0].mode = mode
        assert (await running.get(PATH)).status == int(mode)
    assert states(running) == "ok"


async def test_one_good_end_begins_the_count_anew(gateway: MakeGateway, two: list[Backend]) -> None:
    running = await gateway(service(two[:1], BREAKER))
    for mode in ("503", "503", "ok", "503", "503"):
        two[0].mode = mode
        await running.get(PATH)
    assert states(running) == "ok"


async def test_open_half_open_closed(gateway: MakeGateway, two: list[Backend]) -> None:
    running = await gateway(service(two[:1], BREAKER, retry=ONCE))
    await opened(running, "503", two[0])
    assert states(running) == "open"
    await until(lambda: states(running) == "half-open")
    assert (await running.get(PATH)).status == 503
    assert states(running) == "open", "the probe failed"
    two[0].mode = "ok"
    await until(lambda: states(running) == "half-open")
    assert (await running.get(PATH)).status == 200
    assert states(running) == "ok"
    assert only(running).status().targets[0].openings == 2


async def test_exactly_one_request_goes_through_a_half_open_breaker(
    gateway: MakeGateway, two: list[Backend]
) -> None:
    bad = two[0]
    running = await gateway(service([bad], BREAKER, retry=ONCE))
    await opened(running, "503", bad)
    await until(lambda: states(running) == "half-open")
    bad.mode, bad.delay = "slow", 0.2
    bad.requests = bad.most_busy = 0
    replies = await asyncio.gather(*(running.get(PATH) for _ in range(20)))
    assert sorted(reply.status for reply in replies) == [200] + [503] * 19
    assert (bad.requests, bad.most_busy) == (1, 1)
    refused = [reply for reply in replies if reply.status == 503]
    assert {code(reply) for reply in refused} == {"upstream_unavailable"}
    assert {reply.header("Retry-After") for reply in refused} == {"1"}
    assert states(running) == "ok"
    nothing_is_held(running)


async def test_beside_another_target_the_probe_is_the_only_one_that_waits(
    gateway: MakeGateway, two: list[Backend]
) -> None:
    bad = two[0]
    running = await gateway(service(two, BREAKER, retry="{statuses: [503], floor: 100}"))
    bad.mode = "503"
    for _ in range(8):
        assert (await running.get(PATH)).body == b"b"
    assert states(running) == "open ok"
    await until(lambda: states(running) == "half-open ok")
    bad.mode, bad.delay = "slow", 0.3
    bad.requests = 0
    replies = await asyncio.gather(*(running.get(PATH) for _ in range(20)))
    assert sorted(reply.body for reply in replies) == [b"a"] + [b"b"] * 19
    assert bad.requests == 1
    assert states(running) == "ok ok"


async def test_a_probe_whose_client_leaves_makes_room_for_the_next(
    gateway: MakeGateway, two: list[Backend]
) -> None:
    running = await gateway(service(two[:1], BREAKER, retry=ONCE))
    await opened(running, "503", two[0])
    await until(lambda: states(running) == "half-open")
    two[0].mode = "hang"
    for _ in range(3):
        client = await running.client()
        client.send(request(PATH))
        await until(lambda: states(running) == "probing")
        assert (await running.get(PATH)).status == 503
        client.close()
        await until(lambda: states(running) == "half-open")
    two[0].mode = "ok"
    assert (await running.get(PATH)).status == 200
    assert states(running) == "ok"
    nothing_is_held(running)


async def test_what_was_sent_before_it_opened_decides_nothing(
    gateway: MakeGateway, two: list[Backend]
) -> None:
    """Old requests end well, badly, or by their clients' leaving: it stays open, with one probe."""
    bad = two[0]
    running = await gateway(service([bad], BREAKER, retry=ONCE))
    bad.mode, bad.delay = "slow", 0.05
    good_end = await running.client()
    good_end.send(request(PATH))
    await until(lambda: bad.busy == 1)
    bad.mode = "hang"
    leaving = [await running.client() for _ in range(2)]
    for client in leaving:
        client.send(request(PATH))
    await until(lambda: bad.busy == 3)
    await opened(running, "503", bad)
    assert (await good_end.reply()).status == 200
    assert states(running) == "open"
    await until(lambda: states(running) == "half-open")
    bad.mode = "hang"
    probe = await running.client()
    probe.send(request(PATH))
    await until(lambda: states(running) == "probing")
    for client in leaving:
        client.close()
    await until(lambda: only(running).in_flight == 1)
    assert states(running) == "probing"
    assert (await running.get(PATH)).status == 503
    probe.close()
    await until(lambda: states(running) == "half-open")


async def test_an_event_stream_as_the_probe_closes_it_with_its_head(
    gateway: MakeGateway, two: list[Backend]
) -> None:
    """A stream lasts for hours: nobody else would be served meanwhile."""
    bad = two[0]
    running = await gateway(service([bad], BREAKER, retry=ONCE))
    await opened(running, "503", bad)
    await until(lambda: states(running) == "half-open")
    bad.mode = "stream"
    client = await running.client()
    client.send(request(PATH))
    assert (await client.head()).status == 200
    assert states(running) == "ok"
    bad.mode = "ok"
    assert (await running.get(PATH)).status == 200
    client.close()
    await until(lambda: only(running).in_flight == 0)


async def test_a_probe_that_is_tried_again_elsewhere_opens_it_again(
    gateway: MakeGateway, two: list[Backend]
) -> None:
    bad, _ = two
    running = await gateway(service(two, BREAKER, retry="{floor: 100}"))
    bad.mode = "reset"
    for _ in range(8):
        assert (await running.get(PATH)).status == 200
    await until(lambda: states(running) == "half-open ok")
    seen = bad.requests
    assert (await running.get(PATH)).body == b"b"
    assert bad.requests == seen + 1
    assert states(running) == "open ok"


async def test_an_open_breaker_survives_a_reload_and_still_gets_its_probe(
    gateway: MakeGateway, two: list[Backend]
) -> None:
    text = service(two[:1], "concurrent: 100\nbreaker: {failures: 3, open_for: 2s}", retry=ONCE)
    running = await gateway(text)
    await opened(running, "503", two[0])
    running.path.write_text(text.replace("concurrent: 100", "concurrent: 101"))
    assert await running.reload() is None
    assert states(running) == "open"
    two[0].mode = "ok"
    await until(lambda: states(running) == "half-open", 4.0)
    assert (await running.get(PATH)).status == 200
    assert states(running) == "ok"


async def test_with_all_breakers_open_the_nearest_end_is_told(
    gateway: MakeGateway, two: list[Backend]
) -> None:
    running = await gateway(
        service(two, "breaker: {failures: 1, open_for: 20s}\noutliers: false", retry="{floor: 100}")
    )
    two[0].mode = two[1].mode = "reset"
    assert (await running.get(PATH)).status == 502
    assert states(running) == "open open"
    reply = await running.get(PATH, method="POST", body=b"x")
    assert (reply.status, code(reply)) == (503, "upstream_unavailable")
    assert reply.header("Retry-After") in ("19", "20")
    assert json.loads(reply.body)["retryable"] is True
    nothing_is_held(running)


async def test_a_probe_whose_body_is_long_keeps_nobody_else_out(
    gateway: MakeGateway, raw_upstream: Callable[[Script], Awaitable[RawUpstream]]
) -> None:
    bad = True

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            if bad:
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst")

    played = await raw_upstream(play)
    running = await gateway(
        "version: 1\nservices:\n  s:\n    public: true\n"
        f"    upstream: {{url: '{played.url}', breaker: {{failures: 1, open_for: 100ms}}}}\n"
    )
    assert (await running.get(PATH)).status == 503
    bad = False
    await until(lambda: states(running) == "half-open")
    heads = []
    for _ in range(2):
        client = await running.client()
        client.send(request(PATH))
        heads.append((await client.head()).status)
    assert heads == [200, 200]
    assert states(running) == "ok"
