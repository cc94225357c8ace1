"""Reloads and a killed worker under load: only what the killed one was answering is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.functional.kit import RawClient, RecordingUpstream, request
from tests.workers.conftest import Start, Workers, services

FRESH, KEPT = 6, 6


@dataclass
class Load:
    """Callers on kept and on fresh connections. `lost` are the ports whose request got no 200."""

    port: int
    answered: int = 0
    lost: dict[int, str] = field(default_factory=dict)
    ending: bool = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as callers:
            for number in range(FRESH + KEPT):
                callers.create_task(self._call(keep=number < KEPT))

    async def _call(self, *, keep: bool) -> None:
        client: RawClient | None = None
        while not self.ending:
            if client is None:
                client = RawClient(
                    *await asyncio.open_connection("127.0.0.1", self.port), timeout=20.0
                )
            where = client.writer.get_extra_info("sockname")[1]
            try:
                client.send(request("/api/brain/echo/"))
                reply = await client.reply()
            except (OSError, EOFError, TimeoutError) as error:
                self.lost[where] = repr(error)
                keep_it = False
            else:
                self.answered += 1
                keep_it = keep and reply.status == 200
                if reply.status != 200:
                    self.lost[where] = str(reply.status)
            if not keep_it:
                client.close()
                client = None
        if client is not None:
            client.close()


def taken_by(pid: int, port: int) -> set[int]:
    """Return the clients' ports of the connections that a process has accepted (proc(5), net/tcp)."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(descriptor)
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        int(row[2].rpartition(":")[2], 16)
        for row in rows
        if int(row[1].rpartition(":")[2], 16) == port and row[9] in inodes
    }


async def reload_again(running: Workers, url: str, number: int) -> None:
    more = f'  mark{number}: {{upstream: "{url}", public: true}}\n'
    code, answer = await running.reload(services(url, "metrics", more=more))
    assert code == 200, answer
    assert answer["changed"]


async def kill_one(running: Workers, index: int) -> set[int]:
    """Kill a worker and return the ports of the connections that were its own."""
    pid = (await running.pids())[index]
    os.kill(pid, signal.SIGSTOP)  # so that it takes no more between the look and the end
    await asyncio.sleep(0.2)
    own = taken_by(pid, running.process.port)
    os.kill(pid, signal.SIGKILL)
    return own


@pytest.mark.timeout(900)
@pytest.mark.parametrize("reloads", [6, pytest.param(100, marks=pytest.mark.soak)])
async def test_reloads_and_a_killed_worker_under_load_lose_what_it_was_answering_and_no_more(
    start: Start, upstream: RecordingUpstream, reloads: int
) -> None:
    running = await start(services(upstream.url, "metrics"))
    load = Load(running.process.port)
    callers = asyncio.create_task(load.run())
    for number in range(reloads // 2):
        await reload_again(running, upstream.url, number)
    assert load.lost == {}
    own = await kill_one(running, 0)
    for number in range(reloads // 2, reloads):
        await reload_again(running, upstream.url, number)
    await running.until("worker 0 serves again")
    load.ending = True
    await callers
    assert set(load.lost) <= own, "lost though another worker had it, or none"
    assert len(own) <= FRESH + KEPT
    assert load.answered > 100
    status = await running.status()
    assert status["reloads"] == {"ok": reloads, "refused": 0}
    assert [one["restarts"] for one in status["workers"]] == [1, 0]
    for _ in range(20):
        assert (await running.get(f"/api/brain/mark{reloads - 1}/")).status == 200


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_workers_that_are_killed_while_reloads_go_on_end_up_with_the_last_one(
    start: Start, upstream: RecordingUpstream
) -> None:
    """The kill falls anywhere: into loading, preparing, committing, or a start."""
    running = await start(services(upstream.url, "metrics"))
    accepted = 0
    for number in range(30):
        more = f'  mark{number}: {{upstream: "{upstream.url}", public: true}}\n'
        text = services(upstream.url, "metrics", more=more)
        reload = asyncio.create_task(running.reload(text))
        await asyncio.sleep(number * 0.02)
        pid = (await running.pids())[number % 2]
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        code, answer = await reload
        assert code == 200 or "died over" in answer["error"] or "no worker" in answer["error"]
        if code == 200:
            accepted = number
        async with asyncio.timeout(20):
            while any(one["state"] != "serving" for one in (await running.status())["workers"]):
                await asyncio.sleep(0.1)
        for _ in range(12):
            assert (await running.get(f"/api/brain/mark{accepted}/")).status == 200
