"""cache in a chain, and over reloads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable

from tests.functional.bodykit import until
from tests.functional.cachekit import PATH, file_of, made_of, metric, start, status_of
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RawUpstream, RecordingUpstream, Script
from tests.functional.plugins_for_tests import HERE

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


async def test_plugins_further_out_run_on_a_hit_and_those_further_in_do_not(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await gateway(
        f"""
        version: 1
        plugins:
          - {{use: "{HERE}:Trace", as: outer, with: {{name: outer}}}}
          - cache
          - {{use: "{HERE}:Trace", as: inner, with: {{name: inner}}}}
          - request-id
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    replies = [await running.get(PATH) for _ in range(3)]
    assert [reply.all("X-Trace") for reply in replies] == [["inner", "outer"]] * 3
    assert len({reply.header("X-Request-Id") for reply in replies}) == 3
    assert len(upstream.seen) == 1


async def test_the_gateways_own_pages_and_refusals_are_nothing_to_store(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    text = file_of(upstream.url, "{default_ttl: 60s}") + "gateway: {expose: {health: any}}\n"
    running = await gateway(text)
    for path, status in (("/health", 200), ("/nowhere", 404)):
        for _ in range(2):
            reply = await running.get(path)
            assert (reply.status, status_of(reply)) == (status, "")
    assert await metric(running, "brain_cache_entries") == 0


async def test_a_reload_keeps_what_is_stored(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    running.path.write_text(running.path.read_text() + "x-more: 1\n")
    assert await running.reload() is None
    assert status_of(await running.get(PATH)).startswith("hit")
    assert await metric(running, 'brain_cache_requests_total{cache="cache",result="miss"}') == 1


async def test_options_that_change_take_hold_and_a_smaller_bound_drops_what_is_over(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"x" * 10_000)
    running = await start(gateway, upstream.url, "{default_ttl: 60s}")
    for number in range(5):
        await running.get(f"{PATH}{number}")
    options = "{default_ttl: 60s, max_size: 32KiB, max_entry: 16KiB}"
    running.path.write_text(file_of(upstream.url, options))
    assert await running.reload() is None
    await until(lambda: running.host.gateway.status().snapshots == 1)
    assert await metric(running, "brain_cache_entries") == 2
    assert status_of(await running.get(f"{PATH}4")).startswith("hit")
    running.path.write_text(file_of(upstream.url, "{max_size: 32KiB, max_entry: 16KiB}"))
    assert await running.reload() is None
    assert not status_of(await running.get(f"{PATH}4")).startswith("hit")


async def test_a_service_that_moves_leaves_its_old_answers_behind(
    gateway: MakeGateway, upstream: RecordingUpstream, raw_upstream: MakeUpstream
) -> None:
    upstream.answer = made_of(b"old", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    newer = await raw_upstream(made_of(b"new", "Cache-Control: max-age=60"))
    running.path.write_text(file_of(newer.url))
    assert await running.reload() is None
    assert (await running.get(PATH)).body == b"new"


async def test_taking_the_cache_away_frees_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = made_of(b"hello", "Cache-Control: max-age=60")
    running = await start(gateway, upstream.url)
    await running.get(PATH)
    running.path.write_text(file_of(upstream.url).replace("{cache: {}}, ", ""))
    assert await running.reload() is None
    await until(lambda: running.host.gateway.status().snapshots == 1)
    assert status_of(await running.get(PATH)) == ""
    assert b"brain_cache" not in (await running.admin("/metrics")).body


def test_hishel_is_imported_only_where_a_file_asks_for_a_cache() -> None:
    script = (
        "import sys, plugins.cache, proxy.cli.run, proxy.cli.serving\n"
        "print(sorted({'hishel', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
