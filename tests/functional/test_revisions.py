"""Keeping revisions inside of a gateway: the disk's troubles, other files that change, two at once."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.socket_client import ask
from proxy.errors import ConfigError
from proxy.revisions import store as module
from proxy.revisions.store import Store
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream

HEAD = "version: 1\ngateway: {state_dir: ./state}\n"


def serving(upstream: RecordingUpstream, *services: str) -> str:
    lines = "".join(
        f'  {name}: {{upstream: "{upstream.url}", public: true}}\n' for name in services
    )
    return f"{HEAD}services:\n{lines}"


async def control(running: Gateway, method: str, target: str) -> tuple[int, dict[str, Any]]:
    return await asyncio.to_thread(ask, str(running.host.config.gateway.control), method, target)


async def causes(running: Gateway) -> list[str]:
    _, found = await control(running, "GET", "/revisions")
    return [each["cause"] for each in found["revisions"]]


async def ready(running: Gateway) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await running.admin("/ready")).body)
    return found


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_each_good_reload_is_kept_and_a_refused_one_is_not(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(serving(upstream, "one"))
    running.path.write_text(serving(upstream, "one", "two"))
    assert await running.reload() is None
    running.path.write_text("version: 1\nnonsense: 1\n")
    assert await running.reload() is not None
    code, found = await control(running, "GET", "/revisions")
    assert code == 200
    assert [each["services"] for each in found["revisions"]] == [2, 1]
    assert [each["cause"] for each in found["revisions"]] == ["test", "start"]
    assert found["serves"] == found["revisions"][0]["revision"]


async def test_the_first_request_after_a_rollback_meets_the_old_routes(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(serving(upstream, "one"))
    first = running.host.gateway.snapshot.revision
    running.path.write_text(serving(upstream, "two"))
    assert await running.reload() is None
    assert (await running.get("/api/brain/one/")).status == 404
    code, answer = await control(running, "POST", f"/rollback?revision={first[:6]}")
    assert (code, answer["revision"], answer["kept"]) == (200, first, first)
    assert (await running.get("/api/brain/one/")).status == 200
    assert (await running.get("/api/brain/two/")).status == 404
    assert "two" in running.path.read_text(), "the files are left alone"


async def test_after_a_rollback_the_files_are_as_bad_as_they_were(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(serving(upstream, "one"))
    first = running.host.gateway.snapshot.revision
    running.path.write_text(serving(upstream, "two"))
    assert await running.reload() is None
    running.path.write_text("version: 1\nnonsense: 1\n")
    assert await running.reload() is not None
    code, _ = await control(running, "POST", f"/rollback?revision={first[:6]}")
    checks = json.loads((await running.admin("/ready")).body)["checks"]
    assert (code, checks["config"]) == (200, "the last reload was refused")
    assert "by rollback" in checks["revision"]
    running.path.write_text(serving(upstream, "three"))
    assert await running.reload() is None
    checks = json.loads((await running.admin("/ready")).body)["checks"]
    assert (checks["config"], "revision" in checks) == ("ok", False)


async def test_a_rollback_brings_included_files_back_that_are_gone(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    part = tmp_path / "d" / "part.yaml"
    part.write_text(f'services: {{two: {{upstream: "{upstream.url}", public: true}}}}\n')
    running = await gateway(serving(upstream, "one") + 'include: ["d/*.yaml"]\n')
    first = running.host.gateway.snapshot.revision
    part.unlink()
    assert await running.reload() is None
    assert (await running.get("/api/brain/two/")).status == 404
    code, answer = await control(running, "POST", f"/rollback?revision={first}")
    assert (code, answer["revision"]) == (200, first)
    assert (await running.get("/api/brain/two/")).status == 200


async def test_values_that_have_changed_make_another_revision_which_is_told(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    dropin = tmp_path / "plugins" / "mine.py"
    dropin.write_text("from proxy import Plugin\nclass Mine(Plugin):\n    pass\n")
    text = serving(upstream, "one") + "plugins_dir: plugins\n"
    running = await gateway(text)
    first = running.host.gateway.snapshot.revision
    running.path.write_text(serving(upstream, "one"))
    assert await running.reload() is None
    dropin.write_text(dropin.read_text() + "# mended\n")
    code, answer = await control(running, "POST", f"/rollback?revision={first}")
    assert (code, answer["kept"]) == (200, first)
    assert answer["revision"] != first
    assert await causes(running) == ["rollback", "test", "start"]


async def test_a_dropin_that_is_mended_does_not_end_a_rollback(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    dropin = tmp_path / "plugins" / "mine.py"
    dropin.write_text("from proxy import Plugin\nclass Mine(Plugin):\n    pass\n")
    tail = "plugins_dir: plugins\n"
    running = await gateway(serving(upstream, "one") + tail, watch=True)
    first = running.host.gateway.snapshot.revision
    running.path.write_text(serving(upstream, "two") + tail)
    assert await running.reload() is None
    assert (await control(running, "POST", f"/rollback?revision={first}"))[0] == 200
    before = running.host.gateway.snapshot.revision
    dropin.write_text(dropin.read_text() + "# mended\n")

    async def built_anew() -> bool:
        return running.host.gateway.snapshot.revision != before

    await until(built_anew)
    assert (await running.get("/api/brain/one/")).status == 200
    assert (await causes(running))[:3] == ["rollback", "rollback", "test"]
    assert "by rollback" in (await ready(running))["checks"]["revision"]
    running.path.write_text(serving(upstream, "two", "three") + tail)

    async def files_serve() -> bool:
        return (await running.get("/api/brain/three/")).status == 200

    await until(files_serve)
    assert await ready(running) == {"status": "ok", "checks": {"config": "ok"}}


async def test_a_file_that_only_the_newer_revision_includes_ends_a_rollback(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    running = await gateway(serving(upstream, "one"), watch=True)
    first = running.host.gateway.snapshot.revision
    running.path.write_text(serving(upstream, "one") + 'include: ["d/*.yaml"]\n')
    assert await running.reload() is None
    assert (await control(running, "POST", f"/rollback?revision={first}"))[0] == 200
    part = f'services: {{two: {{upstream: "{upstream.url}", public: true}}}}\n'
    (tmp_path / "d" / "part.yaml").write_text(part)

    async def files_serve() -> bool:
        return (await running.get("/api/brain/two/")).status == 200

    await until(files_serve)


async def test_a_disk_that_is_full_stops_no_reload_and_is_told(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await gateway(serving(upstream, "one"))
    real = os.fsync

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    running.path.write_text(serving(upstream, "one", "two"))
    assert await running.reload() is None
    assert (await running.get("/api/brain/two/")).status == 200
    short = running.host.gateway.snapshot.revision[:12]
    why = f"revision {short} can't be kept: No space left on device"
    assert (await ready(running))["status"] == "degraded"
    assert (await ready(running))["checks"]["state_dir"] == why
    assert why in caplog.text
    _, status = await control(running, "GET", "/status")
    assert status["checks"]["state_dir"] == why
    monkeypatch.setattr(module.os, "fsync", real)
    assert await running.reload() is None
    assert await ready(running) == {"status": "ok", "checks": {"config": "ok"}}
    assert len(await causes(running)) == 2


async def test_a_folder_that_vanishes_stops_no_reload(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    running = await gateway(serving(upstream, "one"))
    folder = tmp_path / "state" / "revisions"
    await asyncio.to_thread(folder.rename, tmp_path / "away")
    running.path.write_text(serving(upstream, "one", "two"))
    assert await running.reload() is None
    assert (await running.get("/api/brain/two/")).status == 200
    assert "can't be kept: No such file" in (await ready(running))["checks"]["state_dir"]
    code, answer = await control(running, "POST", "/rollback?revision=abcd")
    assert (code, "no kept revision" in answer["error"]) == (409, True)


async def test_a_disk_that_hangs_holds_no_reload_up(
    gateway: MakeGateway, upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    running = await gateway(serving(upstream, "one"))
    released = threading.Event()
    monkeypatch.setattr(module.os, "fsync", lambda _descriptor: released.wait(20))
    monkeypatch.setattr("proxy.revisions.accepted.SAVE_WITHIN", 0.05)
    running.path.write_text(serving(upstream, "one", "two"))
    assert await running.reload() is None
    assert (await running.get("/api/brain/two/")).status == 200
    monkeypatch.undo()
    released.set()

    async def kept() -> bool:
        return len(await causes(running)) == 2

    await until(kept)


async def test_two_gateways_share_a_folder_and_neither_sees_the_others_as_its_own(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    one = await gateway(serving(upstream, "one"))
    two = await gateway(serving(upstream, "two"))
    for _ in range(3):
        one.path.write_text(serving(upstream, "one", "more"))
        two.path.write_text(serving(upstream, "two", "more"))
        assert await asyncio.gather(one.reload(), two.reload()) == [None, None]
    store = Store(str(tmp_path / "state"))
    found = await asyncio.to_thread(store.list, whole=True)
    assert (len(found.revisions), found.damaged) == (4, {})
    for running in (one, two):
        own = [*await asyncio.to_thread(store.newest_of, running.host.reloader.files)]
        assert own[0].revision == running.host.gateway.snapshot.revision
        assert {each.given for each in own} == {running.host.reloader.files}
        assert len(own) == 2


async def test_of_a_rollback_and_a_reload_at_once_the_last_serves(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    running = await gateway(serving(upstream, "one"))
    first = running.host.gateway.snapshot.revision
    running.path.write_text(serving(upstream, "two"))
    assert await running.reload() is None
    store, reload = Store(str(tmp_path / "state")), running.host.reloader.reload
    kept = await asyncio.to_thread(lambda: store.read(store.find(first)))
    for order, service in ((("back", "files"), "two"), (("files", "back"), "one")):
        asked = [reload(each, kept=kept if each == "back" else None) for each in order]
        ends = await asyncio.gather(*asked)
        assert [each.error for each in ends] == [None, None]
        assert (await running.get(f"/api/brain/{service}/")).status == 200, order
        assert ("revision" in (await ready(running))["checks"]) == (order[-1] == "back")


async def test_a_place_that_can_not_be_refuses_the_start_and_leaves_nothing_bound(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("mine")
    with pytest.raises(ConfigError, match=r"gateway\.state_dir: can't write to"):
        await gateway(serving(upstream, "one"))
    assert not list(tmp_path.glob("*.sock"))
    assert (tmp_path / "state").read_text() == "mine"


async def test_another_state_dir_needs_a_restart(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(serving(upstream, "one"))
    running.path.write_text(serving(upstream, "one").replace("./state", "./other"))
    assert "gateway.state_dir can't change while running" in str(await running.reload())
