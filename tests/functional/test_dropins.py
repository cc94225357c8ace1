"""Plugins from a folder: run anew at each reload, while what is under way runs on."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request

PLUGIN = """
from proxy import EXCHANGE, Plugin
from brain_dropins._word import WORD

class Greet(Plugin):
    async def __call__(self, request, handler):
        answer = await handler(request)
        answer.add_header("X-Word", WORD + "{mark}")
        return answer
"""


def write(folder: Path, word: str, mark: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "_word.py").write_text(f"WORD = {word!r}\n")
    (folder / "greet.py").write_text(PLUGIN.replace("{mark}", mark))


def routes(upstream: RecordingUpstream, plugin: str = "greet") -> str:
    return (
        f"version: 1\nplugins_dir: own\nplugins: [{plugin}]\n"
        f'services:\n  echo: {{upstream: "{upstream.url}", public: true}}\n'
    )


async def word(running: Gateway) -> str | None:
    return (await running.get("/api/brain/echo/")).header("X-Word")


async def test_each_reload_runs_the_files_anew_with_what_they_import(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    write(tmp_path / "own", "one")
    running = await gateway(routes(upstream))
    assert await word(running) == "one"
    write(tmp_path / "own", "two")
    assert await running.reload() is None
    assert await word(running) == "two"
    write(tmp_path / "own", "two", mark="!")
    assert await running.reload() is None
    assert await word(running) == "two!"


async def test_a_request_under_way_ends_with_the_plugin_that_it_began_with(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    write(tmp_path / "own", "one")
    running = await gateway(routes(upstream))
    upstream.hold = asyncio.Event()
    client = await running.client()
    client.send(request("/api/brain/echo/"))
    async with asyncio.timeout(2):
        while not upstream.seen:
            await asyncio.sleep(0.005)
    write(tmp_path / "own", "two")
    assert await running.reload() is None
    upstream.hold.set()
    assert (await client.reply()).header("X-Word") == "one"
    assert await word(running) == "two"


async def test_a_broken_one_refuses_the_reload_with_its_own_line(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path / "own", "one")
    running = await gateway(routes(upstream))
    (tmp_path / "own" / "greet.py").write_text(PLUGIN + "\nundefined_name\n")
    refusal = await running.reload()
    assert refusal is not None
    line = len(PLUGIN.splitlines()) + 2
    assert f"greet.py:{line}:1" in refusal
    assert "NameError: name 'undefined_name' is not defined" in refusal
    assert any(getattr(record, "line", None) == line for record in caplog.records)
    assert await word(running) == "one"
    write(tmp_path / "own", "mended")
    assert await running.reload() is None
    assert await word(running) == "mended"


async def test_an_edited_a_new_and_a_removed_file_are_noticed(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    write(tmp_path / "own", "one")
    running = await gateway(routes(upstream), watch=True)

    async def until(expected: str) -> None:
        async with asyncio.timeout(10):
            while await word(running) != expected:
                await asyncio.sleep(0.05)

    write(tmp_path / "own", "two")
    await until("two")
    revision = running.host.gateway.snapshot.revision
    (tmp_path / "own" / "other.py").write_text("from proxy import Plugin\nclass A(Plugin): ...\n")
    async with asyncio.timeout(10):
        while running.host.gateway.snapshot.revision == revision:
            await asyncio.sleep(0.05)
    assert "other" in running.host.gateway.catalog
    (tmp_path / "own" / "other.py").unlink()
    async with asyncio.timeout(10):
        while "other" in running.host.gateway.catalog:
            await asyncio.sleep(0.05)


async def test_a_folder_called_plugins_in_the_working_directory_shadows_nothing(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "request_id.py").write_text("raise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "own", "one")
    running = await gateway(routes(upstream, plugin="request-id, greet"))
    assert await running.reload() is None
    reply = await running.get("/api/brain/echo/")
    assert reply.header("X-Request-Id")
    assert reply.header("X-Word") == "one"


async def test_an_aiohttp_middleware_in_a_file_is_a_plugin(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "greet.py").write_text(
        "async def middleware(request, handler):\n"
        "    answer = await handler(request)\n"
        "    answer.headers['X-Word'] = request.path\n"
        "    return answer\n"
    )
    running = await gateway(routes(upstream))
    assert await word(running) == "/api/brain/echo/"


async def test_a_start_runs_a_file_once_and_a_reload_once_more(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    log = tmp_path / "runs"
    (tmp_path / "own" / "greet.py").write_text(
        "from os import getpid\nfrom pathlib import Path\nfrom proxy import Plugin\n"
        f"with Path({str(log)!r}).open('a') as log:\n    print(getpid(), file=log)\n"
        "class Greet(Plugin): ...\n"
    )

    def own_runs() -> int:
        return log.read_text().split().count(str(os.getpid()))

    running = await gateway(routes(upstream))
    assert own_runs() == 1
    assert await running.reload() is None
    assert own_runs() == 2


async def test_a_load_that_comes_to_nothing_leaves_the_modules_of_what_runs(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    write(tmp_path / "own", "one")
    running = await gateway(routes(upstream))
    before = sys.modules["brain_dropins.greet"]
    write(tmp_path / "own", "two")
    with (tmp_path / "own" / "greet.py").open("a") as file:
        file.write("    async def setup(self, context):\n        raise KeyError('a bug')\n")
    refusal = await running.reload()
    assert refusal is not None
    assert "KeyError" in refusal
    assert sys.modules["brain_dropins.greet"] is before
    assert await word(running) == "one"


async def test_one_that_fails_here_alone_is_told_with_its_place(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    write(tmp_path / "own", "one")
    running = await gateway(routes(upstream))
    with (tmp_path / "own" / "greet.py").open("a") as file:
        file.write(f"\nimport os\nif os.getpid() == {os.getpid()}:\n    raise KeyError('here')\n")
    refusal = await running.reload()
    assert refusal is not None
    assert f"greet.py:{len(PLUGIN.splitlines()) + 4}: this plugin can't be loaded" in refusal
    assert await word(running) == "one"
