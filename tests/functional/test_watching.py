"""What the watch takes for a change, and what it leaves alone."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.runtime import reload as reloading
from proxy.watch import Watch, Watched
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream


def services(**urls: str) -> str:
    lines = [f'  {name}: {{upstream: "{url}", public: true}}' for name, url in urls.items()]
    return "\n".join(["version: 1", "services:", *lines]) + "\n"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each load of a reload began."""
    began: list[float] = []
    load = reloading.load_in_child

    async def counted(*arguments: object) -> object:
        began.append(time.monotonic())
        return await load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reloading, "load_in_child", counted)
    return began


async def until(reached: Callable[[], bool], within: float = 4.0) -> None:
    async with asyncio.timeout(within):
        while not reached():
            await asyncio.sleep(0.02)


async def watching(gateway: MakeGateway, text: str) -> Gateway:
    running = await gateway(text, watch=True)
    await asyncio.sleep(0.3)
    return running


async def test_other_files_of_the_folder_are_none_of_its_business(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    loads: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    running = await watching(gateway, services(echo=upstream.url))
    folder = running.path.parent
    (folder / "unrelated.yaml").write_text("nothing: of ours\n")
    for number in range(10):
        with (folder / "gateway.log").open("a") as log:
            log.write(f"{number}\n")
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert loads == []
    assert [record for record in caplog.records if record.name.startswith("watchfiles")] == []


async def test_a_change_that_means_nothing_keeps_the_snapshot(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    loads: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    running = await watching(gateway, services(echo=upstream.url))
    snapshot = running.host.gateway.snapshot
    running.path.write_text(running.path.read_text() + "# a comment\n")
    await until(lambda: "nothing changed" in caplog.text)
    assert running.host.gateway.snapshot is snapshot
    assert running.host.gateway.status().reloads == {"ok": 0, "refused": 0}
    assert len(loads) == 1


async def test_a_file_that_is_mended_to_what_runs_is_well_again(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await watching(gateway, services(echo=upstream.url))
    good = running.path.read_text()
    running.path.write_text(good + "nonsense: 1\n")
    await until(lambda: running.host.gateway.last_error is not None)
    running.path.write_text(good)
    await until(lambda: running.host.gateway.last_error is None)


async def test_a_refused_fragment_is_loaded_when_it_is_mended(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    """The configuration that runs knows nothing of it: the refused one did."""
    running = await watching(gateway, services(echo=upstream.url))
    (tmp_path / "apart").mkdir()
    fragment = tmp_path / "apart" / "more.yaml"
    fragment.write_text("version: 1\nservices: [\n")
    running.path.write_text(services(echo=upstream.url) + f"include: [{fragment}]\n")
    await until(lambda: running.host.gateway.last_error is not None)
    fragment.write_text(services(more=upstream.url))
    await until(lambda: running.host.gateway.last_error is None)
    assert (await running.get("/api/brain/more/")).status == 200


@pytest.mark.parametrize("there", [True, False])
async def test_a_new_file_that_a_pattern_matches_is_loaded(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path, there: bool
) -> None:
    folder = tmp_path / "services.d"
    if there:
        folder.mkdir()
    running = await watching(
        gateway, services(echo=upstream.url) + f"include: ['{folder}/*.yaml']\n"
    )
    folder.mkdir(exist_ok=True)
    (folder / "more.yaml").write_text(services(more=upstream.url))
    await until(lambda: len(running.host.gateway.snapshot.config.services) == 2)


async def test_a_command_right_after_a_save_loads_once(
    gateway: MakeGateway, upstream: RecordingUpstream, loads: list[float]
) -> None:
    running = await watching(gateway, services(echo=upstream.url))
    running.path.write_text(services(echo=upstream.url, more=upstream.url))
    assert await running.reload() is None
    await asyncio.sleep(1.0)
    assert len(loads) == 1


async def test_a_command_during_the_reload_of_a_save_gets_its_outcome(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    loads: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await watching(gateway, services(echo=upstream.url))
    running.path.write_text(services(echo=upstream.url) + "nonsense: 1\n")
    await until(lambda: len(loads) == 1)
    assert "unknown key 'nonsense'" in str(await running.reload())
    await asyncio.sleep(0.5)
    assert len(loads) == 1
    assert caplog.text.count("unknown key 'nonsense'") == 1


async def test_two_commands_one_after_the_other_load_twice(
    gateway: MakeGateway, upstream: RecordingUpstream, loads: list[float]
) -> None:
    """A plugin's dependency may be back: who asks gets a new snapshot of the same files."""
    running = await watching(gateway, services(echo=upstream.url))
    for _ in range(2):
        assert await running.reload() is None
    assert len(loads) == 2


class Noted:
    def __init__(self, file: Path, since: float) -> None:
        self.causes: list[str] = []
        self.watch = Watch(lambda: Watched([str(file)]), self._changed, since)

    async def _changed(self, cause: str) -> None:
        self.causes.append(cause)


async def test_a_change_between_the_first_load_and_the_watch_counts(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text("before")
    await asyncio.sleep(0.02)  # the kernel's clock for files ticks every few milliseconds
    began = time.time()
    await asyncio.sleep(0.02)
    untouched = Noted(file, began)
    await untouched.watch.check()
    assert untouched.causes == []
    fresh = tmp_path / "fresh"
    fresh.write_text("after")
    os.utime(fresh, (1, 1))  # a rename keeps the old time of the content
    fresh.rename(file)
    touched = Noted(file, began)
    await touched.watch.check()
    await touched.watch.check()
    assert touched.causes == ["files changed"]
