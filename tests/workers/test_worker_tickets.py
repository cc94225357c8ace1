"""A ticket is good once, however many workers there are."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.kit import brain
from tests.functional.kit import RecordingUpstream, request
from tests.functional.valkeykit import Server, serving
from tests.plugins.tokens import ISSUER, pem, rsa, token
from tests.workers.conftest import SETTINGS, Start, Workers

PATH = "/api/brain/echo/x"


@pytest.fixture
async def valkey() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


def text(url: str, key: Path, options: str) -> str:
    return (
        f'plugins:\n  - jwt: {{issuer: "{ISSUER}", audience: brain, key_file: "{key}"}}\n'
        f'  - ticket: {options}\nservices:\n  echo: "{url}"\n'
    )


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "issuer.pem"
    path.write_text(pem(rsa()))
    return path


async def asked(workers: Workers) -> str:
    now = int(time.time())
    bearer = f"Authorization: Bearer {token(iat=now, exp=now + 300)}"
    client = await workers.client()
    body = json.dumps({"path": PATH}).encode()
    client.send(request("/api/brain/_ticket", bearer, method="POST", body=body))
    reply = await client.reply()
    client.close()
    assert reply.status == 200, reply.body
    ticket: str = json.loads(reply.body)["ticket"]
    return ticket


async def test_a_ticket_of_one_worker_is_used_once_at_any(
    start: Start, upstream: RecordingUpstream, key: Path, valkey: Server
) -> None:
    settings = f"{SETTINGS}  state_dir: state\n"
    shared = text(upstream.url, key, f'{{store: {{valkey: "{valkey.url}"}}}}')
    workers = await start(shared, settings=settings)
    for _ in range(5):
        ticket = await asked(workers)
        replies = [await workers.get(f"{PATH}?ticket={ticket}") for _ in range(8)]
        assert [reply.status for reply in replies] == [200, *[401] * 7]
    assert len(upstream.seen) == 5


def test_without_a_shared_list_the_file_is_refused(tmp_path: Path, key: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text("version: 1\ngateway: {workers: 2}\n" + text("http://127.0.0.1:9", key, "{}"))
    done = brain("check", str(file), cwd=tmp_path)
    assert done.returncode == 1
    assert "BG215" in done.stdout + done.stderr
    assert "the list of used tickets" in done.stdout + done.stderr


async def test_without_a_common_key_it_does_not_start(
    tmp_path: Path, key: Path, valkey: Server
) -> None:
    file = tmp_path / "routes.yaml"
    shared = text("http://127.0.0.1:9", key, f'{{store: {{valkey: "{valkey.url}"}}}}')
    file.write_text(
        f"version: 1\ngateway: {{workers: 2, listen: 127.0.0.1:0, admin: 127.0.0.1:0}}\n{shared}"
    )
    done = brain("run", str(file), "--control", str(tmp_path / "c.sock"), cwd=tmp_path)
    assert done.returncode == 1
    assert "set gateway.state_dir" in done.stdout + done.stderr
