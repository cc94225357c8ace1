"""Several workers with one Vault: each has a token and a cache of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.baokit import Bao
from tests.functional.kit import RecordingUpstream
from tests.functional.vaultkit import USE, Entry
from tests.workers.conftest import TOLD, Start, Workers


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    with Bao() as server:
        yield server


def text(section: str, url: str) -> str:
    return f"""
secrets: {section}
plugins: [{TOLD}]
services:
  shared:
    upstream: "{url}"
    public: true
    plugins: [{{credentials: {{secret: platform/shared, {USE}}}}}]
"""


async def answers(running: Workers) -> Counter[tuple[int, str | None]]:
    """Ask on many connections, and count status and worker."""
    replies = [await running.get("/api/brain/shared/x") for _ in range(24)]
    return Counter((reply.status, reply.header("X-Worker")) for reply in replies)


async def until_both(running: Workers) -> None:
    async with asyncio.timeout(10):
        while set(await answers(running)) != {(200, "0"), (200, "1")}:
            await asyncio.sleep(0.1)


async def test_each_logs_in_once_and_one_that_is_killed_comes_back_with_a_token_of_its_own(
    start: Start, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    bao.put("platform/shared", key="key-of-all")
    entry = Entry.made(bao, tmp_path)
    bao.forget_requests()
    running = await start(text(entry.section("{fresh: 60s}"), upstream.url))
    await until_both(running)
    assert bao.logins() == 2
    assert bao.reads("platform/shared") == 2
    os.kill((await running.pids())[0], signal.SIGKILL)
    await until_both(running)
    assert bao.logins() == 3
    bao.pause()
    try:
        assert {status for status, _ in await answers(running)} == {200}
    finally:
        bao.resume()
    assert {one.header("Authorization") for one in upstream.seen} == {"Token key-of-all"}


async def test_a_worker_that_dies_while_vault_is_away_comes_back_and_serves_when_it_does(
    start: Start, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    """It has nothing that is kept: 503 in the meantime, and the other goes on."""
    bao.put("platform/shared", key="key-of-all")
    entry = Entry.made(bao, tmp_path)
    running = await start(text(entry.section(), upstream.url))
    await until_both(running)
    bao.seal()
    try:
        pids = await running.pids()
        os.kill(pids[0], signal.SIGKILL)
        async with asyncio.timeout(10):
            while set(await answers(running)) != {(503, "0"), (200, "1")}:
                await asyncio.sleep(0.1)
    finally:
        bao.unseal()
    await until_both(running)
