"""cache asks again: conditions, errors, changes."""

from __future__ import annotations

import json

from tests.functional.cachekit import PATH, made_of, metric, start, status_of
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream, request

# -- revalidation


async def test_a_stale_answer_is_revalidated_and_a_304_freshens_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    modified = "Sun, 06 Nov 1994 08:49:37 GMT"
    upstream.answer = made_of(
        b"hello", "Cache-Control: max-age=0", 'ETag: "a"', f"Last-Modified: {modified}"
    )
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    upstream.answer = (
        b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nCache-Control: max-age=60\r\nX-New: 1\r\n\r\n'
    )
    again = await running.get(PATH, 'If-None-Match: "mine"')
    assert (again.status, again.body, again.header("X-New")) == (200, b"hello", "1")
    assert status_of(again).startswith("fwd=stale; fwd-status=304; ttl=")
    assert upstream.last.all("If-None-Match") == ['"a"']
    assert upstream.last.all("If-Modified-Since") == [modified]
    assert status_of(await running.get(PATH)).startswith("hit")
    assert len(upstream.seen) == 2


async def test_a_clients_own_condition_is_answered_from_the_cache(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(
        b"hello", "Cache-Control: max-age=60", 'ETag: "a"', "Content-Type: text/plain"
    )
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    client = await running.client()
    for _ in range(2):
        client.send(request(PATH, 'If-None-Match: W/"a"'))
        reply = await client.reply()
        assert (reply.status, reply.header("ETag")) == (304, '"a"')
        assert reply.header("Content-Length") is None
        assert reply.header("Transfer-Encoding") is None
    assert (await running.get(PATH, 'If-None-Match: "b"')).body == b"hello"
    assert len(upstream.seen) == 1


# -- errors


async def test_a_stale_answer_stands_in_for_a_503(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=0, stale-if-error=60", 'ETag: "a"')
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    upstream.answer = made_of(b"x" * 100_000, status="503 Busy")
    for _ in range(2):
        reply = await running.get(PATH)
        assert (reply.status, reply.body) == (200, b"hello")
        assert status_of(reply).startswith("fwd=stale; fwd-status=503; detail=stale-if-error")
    assert running.host.gateway.status().upstreams[0].in_flight == 0
    upstream.answer = made_of(b"newer", "Cache-Control: max-age=60")
    assert (await running.get(PATH)).body == b"newer"


async def test_a_stale_answer_stands_in_for_a_refused_connection(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Connection: close")
    running = await start(gateway, upstream.url, "{stale_if_error: 60s}")
    await running.get(PATH)
    await upstream.close()
    reply = await running.get(PATH)
    assert (reply.status, reply.body) == (200, b"hello")
    assert status_of(reply).startswith("fwd=stale; detail=stale-if-error")
    refused = await running.get(PATH, "Cache-Control: no-cache")
    assert refused.status == 502
    assert json.loads(refused.body)["code"] == "upstream_connect_refused"


async def test_only_if_cached_is_504_with_its_code(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await start(gateway, upstream.url)
    reply = await running.get(PATH, "Cache-Control: only-if-cached")
    assert (reply.status, json.loads(reply.body)["code"]) == (504, "not_cached")
    assert upstream.seen == []


# -- changes and bounds


async def test_a_post_drops_what_is_stored_for_its_address(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    await running.get(PATH + "/other")
    await running.get(PATH, method="POST", body=b"change")
    assert status_of(await running.get(PATH)).startswith("fwd=uri-miss")
    assert status_of(await running.get(PATH + "/other")).startswith("hit")


async def test_the_bound_holds_and_the_least_recently_used_goes(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"x" * 10_000, "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url, "{max_size: 64KiB, max_entry: 16KiB}")
    for number in range(4):
        await running.get(f"{PATH}{number}")
    assert status_of(await running.get(f"{PATH}0")).startswith("hit")
    for number in range(4, 9):
        await running.get(f"{PATH}{number}")
        assert status_of(await running.get(f"{PATH}0")).startswith("hit")
        assert await metric(running, "brain_cache_bytes") <= 64 * 1024
    assert status_of(await running.get(f"{PATH}1")).startswith("fwd=uri-miss")
    assert await metric(running, "brain_cache_evicted_total") > 0
    assert await metric(running, "brain_cache_entries") == 5
