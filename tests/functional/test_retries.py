"""What is tried again, how often and where (semantics.md, row 25)."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from tests.functional import probe
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
from tests.functional.kit import request

NOBODY_OUT = "outliers: false"


@pytest.mark.parametrize("attempts", [1, 2, 3, 5])
@pytest.mark.parametrize("several", [1, 3])
async def test_there_are_as_many_tries_as_attempts_says(
    gateway: MakeGateway, three: list[Backend], attempts: int, several: int
) -> None:
    used = three[:several]
    all_are(used, "reset")
    running = await gateway(service(used, NOBODY_OUT, retry=f"{{attempts: {attempts}}}"))
    reply = await running.get(PATH)
    assert (reply.status, code(reply)) == (502, "upstream_reset_before_headers")
    assert total(used) == attempts
    assert words() == ["reset"] * (attempts - 1) + ["attempts"]
    nothing_is_held(running)


async def test_every_other_target_is_tried_before_one_a_second_time(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    all_are(three, "reset")
    running = await gateway(service(three, NOBODY_OUT, retry="{attempts: 3, floor: 1000}"))
    for _ in range(5):
        await running.get(PATH)
        assert len({attempt.target for attempt in probe.FINISHED[-1].attempts}) == 3
    assert {one.requests for one in three} == {5}


@pytest.mark.parametrize(("method", "tries"), [("POST", 1), ("PATCH", 1)])
@pytest.mark.parametrize("mode", ["reset", "503", "hang"])
async def test_what_may_not_be_done_twice_is_sent_once(
    gateway: MakeGateway, three: list[Backend], method: str, tries: int, mode: str
) -> None:
    all_are(three, mode)
    running = await gateway(
        service(
            three, NOBODY_OUT, retry="{statuses: [503], per_try: 50ms}", timeouts="{response: 1s}"
        )
    )
    assert (await running.get(PATH, method=method, body=b"pay")).status >= 500
    assert total(three) == tries
    assert words() == ["method"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_what_may_be_done_twice_is_tried_again(
    gateway: MakeGateway, three: list[Backend], method: str
) -> None:
    three[0].mode = "reset"
    running = await gateway(service(three[:2], NOBODY_OUT))
    assert (await running.get(PATH, method=method)).status == 200
    assert [one.requests for one in three[:2]] == [1, 1]


@pytest.mark.parametrize(
    ("key", "header", "tries"),
    [
        ("true", "Idempotency-Key: k1", 2),
        ("false", "Idempotency-Key: k1", 1),
        ("true", "X-Key: k1", 1),
    ],
)
async def test_a_post_with_a_key_is_tried_again_where_the_upstream_honours_it(
    gateway: MakeGateway, three: list[Backend], key: str, header: str, tries: int
) -> None:
    three[0].mode = "reset"
    running = await gateway(service(three[:2], NOBODY_OUT, retry=f"{{idempotency_key: {key}}}"))
    reply = await running.get(PATH, header, method="POST", body=b"pay 7")
    assert total(three) == tries
    assert reply.status == (200 if tries == 2 else 502)
    assert {body for one in three for body in one.bodies} == {b"pay 7"}
    assert all(header.encode() in head for one in three for head in one.heads)


async def test_a_connection_that_is_refused_is_tried_elsewhere_for_a_post_too(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    await three[0].kill()
    running = await gateway(service(three[:2], NOBODY_OUT, retry="{budget: 0%, floor: 0}"))
    for _ in range(4):
        reply = await running.get(PATH, method="POST", body=b"once")
        assert (reply.status, reply.body) == (200, b"b")
    assert three[1].bodies == [b"once"] * 4
    assert only(running).retries["connect"] >= 2, "no request arrived: it costs no budget"


async def test_a_single_target_that_refuses_is_asked_again_after_a_pause(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    """A restart of one target takes longer than no time."""
    await three[0].kill()
    running = await gateway(service(three[:1], retry="{attempts: 4}"))
    back = asyncio.ensure_future(three[0].restart(0.1))
    started = perf_counter()
    reply = await running.get(PATH, method="POST", body=b"x")
    assert (reply.status, reply.body) == (200, b"a")
    assert 0.05 < perf_counter() - started < 0.5
    await back


async def test_behind_a_hint_that_was_relayed_nothing_is_tried_again(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    all_are(three, "hint")
    running = await gateway(service(three, NOBODY_OUT))
    client = await running.client()
    client.send(request(PATH))
    assert (await client.head()).status == 103
    assert (await client.reply()).status == 502
    assert total(three) == 1
    assert words() == ["too-late"]


async def test_behind_the_head_nothing_is_tried_again(
    gateway: MakeGateway, three: list[Backend]
) -> None:
    all_are(three, "half")
    running = await gateway(service(three, NOBODY_OUT))
    client = await running.client()
    client.send(request(PATH))
    assert (await client.head()).status == 200
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.reader.readexactly(10)
    await until(lambda: probe.FINISHED)
    assert total(three) == 1
    nothing_is_held(running)
