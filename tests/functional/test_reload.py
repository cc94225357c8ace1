"""Reload: swapped at once, the last good one kept, streams and pools left in peace."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.config.load import load_or_raise
from proxy.runtime import instances
from tests.functional.conftest import MakeGateway
from tests.functional.helper_plugins import Away
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream, Script, request

MakeUpstream = Callable[[Script], Awaitable[RawUpstream]]


def services(**urls: str) -> str:
    lines = [f'  {name}: {{upstream: "{url}", public: true}}' for name, url in urls.items()]
    return "\n".join(["version: 1", "services:", *lines]) + "\n"


async def apply(running: Gateway, text: str) -> None:
    """Put `text` in force as a reload does, without a child process for the loading."""
    running.path.write_text(textwrap.dedent(text))
    host = running.host
    files = [str(running.path), str(running.path.parent / "own0.yaml")]
    loaded = await asyncio.to_thread(
        load_or_raise, files, environment={}, catalog=host.gateway.catalog
    )
    assert loaded.config is not None
    await host.gateway.apply(loaded.config)


async def settled(running: Gateway) -> int:
    """Return how many snapshots are left when those that can end have ended."""
    for _ in range(100):
        if running.host.gateway.status().snapshots == 1:
            break
        await asyncio.sleep(0.01)
    return running.host.gateway.status().snapshots


async def test_a_reload_brings_new_services_and_takes_old_ones(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(services(old=upstream.url))
    running.path.write_text(services(new=upstream.url))
    assert await running.reload() is None
    assert (await running.get("/api/brain/new/")).status == 200
    assert (await running.get("/api/brain/old/")).status == 404
    assert await settled(running) == 1


async def test_a_bad_file_is_refused_and_the_old_revision_serves_on(
    gateway: MakeGateway, upstream: RecordingUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    running = await gateway(services(echo=upstream.url))
    revision = running.host.gateway.snapshot.revision
    running.path.write_text(services(echo=upstream.url) + "servces: {}\n")
    refusal = await running.reload()
    assert refusal is not None
    assert "did you mean 'services'?" in refusal
    told, last = [record for record in caplog.records if record.name == "brain.reload"]
    assert "^^^^^^^" in told.excerpt, "the log carries the caret"  # type: ignore[attr-defined]
    assert (told.code, told.line, told.column) == ("BG103", 4, 1)  # type: ignore[attr-defined]
    assert "the old revision serves on: 1 error in" in last.getMessage()
    assert running.host.gateway.snapshot.revision == revision
    assert (await running.get("/api/brain/echo/")).status == 200
    ready = json.loads((await running.admin("/ready")).body)
    assert ready["status"] == "degraded"
    assert ready["checks"]["config"] == "the last reload was refused"
    running.path.write_text(services(echo=upstream.url, more=upstream.url))
    assert await running.reload() is None
    assert json.loads((await running.admin("/ready")).body)["status"] == "ok"
    assert running.host.gateway.status().reloads == {"ok": 1, "refused": 1}


async def test_warnings_of_a_reload_are_logged(
    gateway: MakeGateway, upstream: RecordingUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    running = await gateway(services(echo=upstream.url))
    running.path.write_text(services(echo=upstream.url) + "gateway: {expose: {metrics: any}}\n")
    assert await running.reload() is None
    warnings = [record for record in caplog.records if record.name == "brain.reload"]
    assert any("anyone can read /metrics" in record.getMessage() for record in warnings)
    assert {record.levelno for record in warnings} == {logging.WARNING}


async def test_a_stream_ends_on_the_snapshot_that_it_began_on(
    gateway: MakeGateway, raw_upstream: MakeUpstream, upstream: RecordingUpstream
) -> None:
    more = asyncio.Event()

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        writer.write(head + b"Connection: close\r\n\r\ndata: 1\n\n")
        await more.wait()
        writer.write(b"data: 2\n\n")

    server = await raw_upstream(events)
    running = await gateway(services(stream=server.url))
    client = await running.client()
    client.send(request("/api/brain/stream/"))
    assert (await client.head()).status == 200
    await apply(running, services(echo=upstream.url))
    assert running.host.gateway.status().snapshots == 2
    assert (await running.get("/api/brain/stream/")).status == 404, "gone for all others"
    more.set()
    async with asyncio.timeout(1):
        await client.reader.readuntil(b"data: 2\n\n\r\n0\r\n\r\n")
    assert await settled(running) == 1


async def test_an_unchanged_upstream_keeps_its_connections_and_a_changed_one_does_not(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(services(echo=upstream.url))
    await running.get("/api/brain/echo/")
    await apply(running, services(echo=upstream.url, other="http://127.0.0.1:9"))
    await running.get("/api/brain/echo/")
    assert upstream.connections == 1
    changed = f'{{upstream: {{url: "{upstream.url}", queue: 7}}, public: true}}'
    await apply(running, f"version: 1\nservices:\n  echo: {changed}\n")
    await running.get("/api/brain/echo/")
    assert upstream.connections == 2


async def test_at_most_eight_old_snapshots_are_kept_for_their_streams(
    gateway: MakeGateway, raw_upstream: MakeUpstream
) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await reader.read()

    server = await raw_upstream(endless)
    running = await gateway(services(stream=server.url))
    clients = []
    for number in range(10):
        client = await running.client()
        client.send(request("/api/brain/stream/"))
        await client.head()
        clients.append(client)
        await apply(running, services(stream=server.url, mark=f"http://127.0.0.1:{1000 + number}"))
    await asyncio.sleep(0.05)
    assert running.host.gateway.status().snapshots == 9
    assert [client.reader.exception() is not None for client in clients] == [True] * 2 + [False] * 8
    # The upstream is the same on all: cutting two snapshots must not have closed it for the rest.
    fresh = await running.client()
    fresh.send(request("/api/brain/stream/"))
    assert (await fresh.head()).status == 200


@pytest.mark.parametrize(
    "setting", ["listen: 127.0.0.1:1", "admin: 127.0.0.1:1", "control: /tmp/other.sock"]
)
async def test_what_is_bound_at_the_start_can_not_change(
    gateway: MakeGateway, upstream: RecordingUpstream, setting: str
) -> None:
    running = await gateway(services(echo=upstream.url))
    own = running.path.parent / "own0.yaml"
    own.write_text(f"version: 1\ngateway: {{{setting}}}\n")
    refusal = await running.reload()
    assert refusal is not None
    assert f"gateway.{setting.partition(':')[0]}" in refusal
    assert "restart" in refusal


async def test_a_dependency_that_is_away_does_not_stop_a_reload_and_is_tried_again(
    gateway: MakeGateway, upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "RETRY_SETUP_FIRST", 0.05)
    monkeypatch.setattr(Away, "here", False)
    running = await gateway(services(echo=upstream.url))
    await apply(
        running,
        f"""
        version: 1
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
          vault:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{use: "tests.functional.helper_plugins:Away", as: away}}]
        """,
    )
    away = await running.get("/api/brain/vault/")
    assert (away.status, json.loads(away.body)["code"]) == (503, "secret_unavailable")
    assert (await running.get("/api/brain/echo/")).status == 200
    ready = await running.admin("/ready")
    assert (ready.status, json.loads(ready.body)["status"]) == (200, "degraded")
    assert "away" in json.loads(ready.body)["checks"]
    Away.here = True
    await asyncio.sleep(0.1)
    assert (await running.get("/api/brain/vault/")).status == 200
    assert json.loads((await running.admin("/ready")).body)["status"] == "ok"


async def test_a_plugin_with_a_bug_in_its_setup_refuses_the_reload_and_nothing_else(
    gateway: MakeGateway, upstream: RecordingUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    running = await gateway(services(echo=upstream.url))
    running.path.write_text(
        services(echo=upstream.url)
        + 'plugins: [{use: "tests.functional.helper_plugins:Broken", as: broken}]\n'
    )
    refusal = await running.reload()
    assert refusal is not None
    assert "routes0.yaml:4:12: plugin 'broken': RuntimeError: a bug (" in refusal
    assert "helper_plugins.py:25)" in refusal
    told, refused = [record for record in caplog.records if record.name == "brain.reload"]
    assert (told.code, told.line) == ("BG202", 4)  # type: ignore[attr-defined]
    assert refused.exc_info is not None, "whoever mends the plugin needs the traceback"
    assert refused.exc_info[0] is RuntimeError
    assert (await running.get("/api/brain/echo/")).status == 200
    running.path.write_text(services(echo=upstream.url, more=upstream.url))
    assert await running.reload() is None


async def answers(running: Gateway, target: str, within: float = 2.0) -> bool:
    """Whether `target` answers 200 within seconds."""
    async with asyncio.timeout(within):
        while (await running.get(target)).status != 200:
            await asyncio.sleep(0.02)
    return True


async def test_a_service_added_to_the_running_file_serves_within_two_seconds(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(services(first=upstream.url), watch=True)
    await asyncio.sleep(0.1)
    text = running.path.read_text()
    running.path.write_text(text + f'  echo: {{upstream: "{upstream.url}", public: true}}\n')
    assert await answers(running, "/api/brain/echo/anything")


async def test_an_atomic_rename_is_noticed_twice_in_a_row(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(services(first=upstream.url), watch=True)
    await asyncio.sleep(0.1)
    for name in ("second", "third"):  # the second replaces a file that was itself a replacement
        fresh = running.path.parent / "fresh.tmp"
        fresh.write_text(services(**{name: upstream.url}))
        fresh.rename(running.path)
        assert await answers(running, f"/api/brain/{name}/")


async def test_a_swap_of_the_folder_as_kubernetes_does_it_is_noticed(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    def published(name: str, text: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "more.yaml").write_text(text)
        return folder

    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "..data").symlink_to(published("..1", services(first=upstream.url)))
    (mount / "more.yaml").symlink_to("..data/more.yaml")
    running = await gateway(f"version: 1\ninclude: [{mount}/more.yaml]\n", watch=True)
    await asyncio.sleep(0.1)
    (mount / "..new").symlink_to(published("..2", services(second=upstream.url)))
    os.replace(mount / "..new", mount / "..data")
    assert await answers(running, "/api/brain/second/")


async def test_the_watch_goes_on_after_a_bad_file(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(services(first=upstream.url), watch=True)
    await asyncio.sleep(0.1)
    running.path.write_text("version: 1\nservices: [")
    async with asyncio.timeout(3):
        while running.host.gateway.last_error is None:
            await asyncio.sleep(0.02)
    running.path.write_text(services(second=upstream.url))
    assert await answers(running, "/api/brain/second/")
