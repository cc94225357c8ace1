"""What is kept of exchanges, for how long, and how it is listed."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from typing import Any

from proxy.cli.socket_client import ask
from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request
from tests.functional.test_upstream_pools import dead_port

SECRET = "hunter2-hunter2"


async def start(
    gateway: MakeGateway, upstream: RecordingUpstream, recent: str, chain: str = "request-id"
) -> Gateway:
    return await gateway(
        f"""
        version: 1
        gateway: {{recent: {recent}, trusted_proxies: ["127.0.0.1/32"]}}
        plugins: [{chain}]
        services:
          good: {{upstream: "{upstream.url}", public: true}}
          dead: {{upstream: "http://127.0.0.1:{dead_port()}", public: true}}
        """
    )


async def control(running: Gateway, target: str) -> tuple[int, dict[str, Any]]:
    path = str(running.host.config.gateway.control)
    return await asyncio.to_thread(ask, path, "GET", target)


async def ids(running: Gateway, query: str = "") -> list[str]:
    code, found = await control(running, f"/recent?{query}")
    assert code == 200
    return [told["request_id"] for told in found["exchanges"]]


async def get(running: Gateway, service: str, request_id: str) -> None:
    await running.get(f"/api/brain/{service}/x", f"X-Request-Id: {request_id}")


async def test_a_flood_of_good_ones_and_of_strangers_pushes_out_no_failure(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream, "{keep: 5}")
    await get(running, "dead", "bad-1")
    for number in range(8):
        await get(running, "good", f"good-{number}")
        await get(running, "nowhere", f"stranger-{number}")
    assert await ids(running) == [
        *("stranger-7", "good-7", "stranger-6", "good-6", "stranger-5"),
        "bad-1",
    ]
    assert await ids(running, "failed=1") == ["bad-1"]
    assert await ids(running, "route=good&last=1") == ["good-7"]
    assert await ids(running, "route=-&last=1") == ["stranger-7"]
    code, gone = await control(running, "/why/good-0")
    assert (code, gone["exchange"]) == (404, None)
    assert (gone["kept"]["keep"], gone["kept"]["last"]["count"]) == (5, 5)
    assert gone["kept"]["notable"]["since"] < gone["kept"]["last"]["since"]
    code, found = await control(running, "/why/bad-1")
    assert (code, found["exchange"]["request_id"]) == (200, "bad-1")


async def test_what_began_late_is_kept_with_the_failed_ones(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream, "{keep: 1, slow: 50ms}")
    upstream.hold = asyncio.Event()
    asked = asyncio.ensure_future(get(running, "good", "slow-1"))
    await asyncio.sleep(0.08)
    upstream.hold.set()
    await asked
    await get(running, "good", "good-1")
    await get(running, "good", "good-2")
    assert await ids(running) == ["good-2", "slow-1"]
    assert await ids(running, "failed=1") == []


async def test_an_id_that_came_twice_tells_of_both(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream, "{keep: 5}")
    await get(running, "dead", "same")
    await get(running, "good", "same")
    _, found = await control(running, "/why/same")
    assert found["exchange"]["status"] == 200
    assert [told["status"] for told in found["earlier"]] == [502]


async def test_without_ids_exchanges_are_listed_and_none_is_found_by_an_empty_one(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream, "{keep: 5}", chain="")
    await get(running, "good", "not-taken-over")
    assert await ids(running) == [""]
    assert (await control(running, "/why/not-taken-over"))[0] == 404
    assert (await control(running, "/why/%20"))[0] == 404


async def test_a_reload_changes_how_many_are_kept_and_0_keeps_none(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream, "{keep: 3}")
    for number in range(3):
        await get(running, "good", f"good-{number}")
    text = running.path.read_text()
    running.path.write_text(text.replace("keep: 3", "keep: 2"))
    assert await running.reload() is None
    assert await ids(running) == ["good-2", "good-1"], "what there is room for stays"
    running.path.write_text(text.replace("keep: 3", "keep: 0"))
    assert await running.reload() is None
    await get(running, "good", "good-3")
    assert await ids(running) == []
    assert (await control(running, "/why/good-2"))[1]["kept"]["keep"] == 0


async def test_neither_headers_nor_query_nor_bodies_are_kept(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = b"HTTP/1.1 200 OK\r\nX-Secret: %b\r\nContent-Length: 15\r\n\r\n%b" % (
        SECRET.encode(),
        SECRET.encode(),
    )
    running = await start(gateway, upstream, "{keep: 5}")
    for service in ("good", "dead"):
        await running.get(
            f"/api/brain/{service}/x?token={SECRET}",
            f"Authorization: Bearer {SECRET}",
            f"Cookie: session={SECRET}",
            method="POST",
            body=SECRET.encode(),
        )
    code, found = await control(running, "/recent")
    assert (code, len(found["exchanges"])) == (200, 2)
    assert SECRET not in json.dumps(found)


async def test_a_list_that_makes_no_sense_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream, "{keep: 5}")
    for query in ("last=0", "last=many"):
        code, found = await control(running, f"/recent?{query}")
        assert code == 400
        assert found["error"]


def size_of(kept: tuple[object, ...]) -> int:
    """Return the bytes that a tuple takes with the values in it."""
    return sys.getsizeof(kept) + sum({id(each): sys.getsizeof(each) for each in kept}.values())


async def test_a_good_one_is_kept_as_few_plain_values(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream, "{keep: 100}")
    client = await running.client()
    for _ in range(150):
        client.send(request("/api/brain/good/x/" + "y" * 4000))
        await client.reply()
    recent = running.host.gateway.recent
    await until(lambda: len(list(recent)) == 100)
    gc.collect()
    kept = recent._all
    assert not any(gc.is_tracked(one) for one in kept), "values alone: nothing to collect"
    assert sum(size_of(one) for one in kept) / 100 < 1536, "with the longest path that is kept"
    alive = [each for each in gc.get_objects() if type(each).__name__ in ("Exchange", "Attempt")]
    assert len(alive) < 5


async def test_a_good_one_is_told_alike_on_a_new_and_on_a_reused_connection(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream, "{keep: 5}")
    await get(running, "good", "new")
    await get(running, "good", "reused")
    for request_id in ("new", "reused"):
        _, found = await control(running, f"/why/{request_id}")
        (attempt,) = found["exchange"]["attempts"]
        assert attempt["reused"] is (request_id == "reused")
        assert (attempt["target"], attempt["status"]) == (upstream.url, 200)
        assert {"total", "chain", "send", "wait", "body"} <= set(attempt["ms"])
        assert ("connect" in attempt["ms"]) is (request_id == "new")
        assert attempt["ms"]["total"] == found["exchange"]["ms"]["total"]
