"""Starts and reloads while Vault is down, sealed, hangs, or can't even be connected to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proxy.runtime import instances
from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request
from tests.functional.plugins_for_tests import HERE
from tests.functional.vaultkit import (
    KINDS,
    USE,
    Entry,
    calling,
    code_of,
    routes,
    write_keys,
)
from tests.plugins.tokens import ISSUER, OctKey, claims, signed

SIGNING = "a-secret-of-32-bytes-or-more-of-an-old-issuer"
NEEDY = ("crm", "shared", "bound", "old", "socket")
"""A templated path, one that is the same for all, an option of a plugin, keys of jwt and ticket."""

GOOD = [200, 200, 200, 200, 401]
"""What they answer when all is well: the ticket that is asked with is none."""


def write(bao: Bao) -> None:
    write_keys(bao, ["acme"])
    bao.put("platform/shared", key="key-of-all", signing=SIGNING, ticket="t" * 43 + "=")


def text(section: str, url: str) -> str:
    return routes(
        section,
        url,
        more=f"""
          shared:
            upstream: "{url}"
            public: true
            plugins: [{{credentials: {{secret: platform/shared, {USE}}}}}]
          bound:
            upstream: "{url}"
            public: true
            plugins: [{{use: "{HERE}:Sealed", with: {{key: {{secret: platform/shared, field: key}}}}}}]
          old:
            upstream: "{url}"
            plugins:
              - jwt:
                  issuers:
                    - issuer: "{ISSUER}"
                      audience: brain
                      secret: {{secret: platform/shared, field: signing}}
          socket:
            upstream: "{url}"
            plugins:
              - use: tests.functional.test_plugins_access:Unsigned
                as: tokens
              - ticket: {{key: {{secret: platform/shared, field: ticket}}}}
    """,
    )


def asking(service: str) -> bytes:
    if service == "socket":
        return request("/api/brain/socket/x?ticket=of-nobody")
    if service != "old":
        return calling("acme", f"/api/brain/{service}/x")
    now = int(time.time())
    payload = json.dumps(claims(iat=now, exp=now + 300)).encode()
    token = signed({"alg": "HS256"}, payload, OctKey.import_key(SIGNING))
    return request("/api/brain/old/x", f"Authorization: Bearer {token}")


async def statuses(running: Gateway, services: Sequence[str]) -> list[int]:
    """Ask all at once, each of which is answered within a second."""
    began = time.monotonic()
    replies = await asyncio.gather(*[running.ask(asking(service)) for service in services])
    assert time.monotonic() - began < 1.0
    for reply in replies:
        if reply.status == 503:
            assert code_of(reply) in {"secret_unavailable", "keys_unavailable"}
            assert int(reply.header("Retry-After") or "") >= 1
    return [reply.status for reply in replies]


async def all_served(running: Gateway) -> float:
    """Wait until all are served, and return how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(10):
        while await statuses(running, NEEDY) != GOOD:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def third() -> Iterator[Bao]:
    with Bao() as server:
        yield server


@pytest.fixture(autouse=True)
def _as_after_a_long_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins that wait for something are set up again after pauses that grow to half a minute."""
    monkeypatch.setattr(instances, "RETRY_SETUP_FIRST", instances.RETRY_SETUP_MOST)


async def test_a_start_without_vault_serves_all_else_at_once_and_the_rest_when_it_is_back(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    bao: Bao,
    lasting_bao: Bao,
    third: Bao,
    tmp_path: Path,
) -> None:
    servers = {"killed": lasting_bao, "sealed": bao, "paused": third}
    took: dict[str, float] = {}
    made: dict[str, Gateway] = {}
    sections = {}
    for kind, server in servers.items():
        write(server)
        (tmp_path / kind).mkdir()
        sections[kind] = Entry.made(server, tmp_path / kind).section()
    began = time.monotonic()
    running = await gateway(text(sections["killed"], upstream.url))
    took["normal"] = time.monotonic() - began
    assert await statuses(running, ["open", *NEEDY]) == [200, *GOOD]
    await running.stop()
    try:
        for kind, server in servers.items():
            KINDS[kind][0](server)
            began = time.monotonic()
            made[kind] = await gateway(text(sections[kind], upstream.url))
            took[kind] = time.monotonic() - began
            assert await statuses(made[kind], ["open"]) == [200], kind
            assert await statuses(made[kind], NEEDY) == [503] * 5, kind
            assert (await made[kind].admin("/health")).status == 200
    finally:
        for kind, server in servers.items():
            KINDS[kind][1](server)
    back = await asyncio.gather(*map(all_served, made.values()))
    assert max(took.values()) < took["normal"] + 1.5, took
    assert max(back) < 5.0, back


@pytest.mark.parametrize("kind", ["sealed", "paused"])
async def test_a_reload_without_vault_leaves_what_is_kept_in_use(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path, kind: str
) -> None:
    """Also one that adds a service: it answers 503 until Vault is back."""
    write(bao)
    bao.put("platform/later", key="key-for-later")
    section = Entry.made(bao, tmp_path).section()
    running = await gateway(text(section, upstream.url))
    assert await statuses(running, NEEDY) == GOOD
    KINDS[kind][0](bao)
    try:
        await asyncio.sleep(1.1)  # nothing is fresh any more
        more = f"""
          later:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{credentials: {{secret: platform/later, {USE}}}}}]
    """
        running.path.write_text(textwrap.dedent(text(section, upstream.url) + more))
        began = time.monotonic()
        assert await running.reload() is None
        assert time.monotonic() - began < 4.0
        for _ in range(3):
            assert await statuses(running, [*NEEDY, "later", "open"]) == [*GOOD, 503, 200]
        assert {one.header("Authorization") for one in upstream.seen[-10:]} <= {
            "Token key-of-acme",
            "Token key-of-all",
            None,
        }
        broken = text(section.replace("fresh: 1s", "fresh: 0s"), upstream.url)
        running.path.write_text(textwrap.dedent(broken))
        assert "fresh" in str(await running.reload())
        assert await statuses(running, NEEDY) == GOOD
    finally:
        KINDS[kind][1](bao)
    began = time.monotonic()
    async with asyncio.timeout(5):
        while await statuses(running, ["later"]) != [200]:
            await asyncio.sleep(0.05)


async def test_a_reload_whose_new_settings_lead_to_a_vault_that_is_down_serves_the_rest(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    """Another address is another store: what the one before gave is not used with it."""
    write(bao)
    section = Entry.made(bao, tmp_path).section()
    running = await gateway(text(section, upstream.url))
    assert await statuses(running, NEEDY) == GOOD
    elsewhere = section.replace(bao.address, "http://127.0.0.1:1")
    running.path.write_text(textwrap.dedent(text(elsewhere, upstream.url)))
    assert await running.reload() is None
    assert await statuses(running, [*NEEDY, "open"]) == [503, 503, 503, 503, 503, 200]
    running.path.write_text(textwrap.dedent(text(section, upstream.url)))
    assert await running.reload() is None
    assert await statuses(running, NEEDY) == GOOD


@pytest.fixture
def full() -> Iterator[str]:
    """Yield the address of a port on which a handshake is never answered: its queue is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_a_vault_that_swallows_packets_keeps_nobody_waiting(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path, full: str
) -> None:
    section = Entry.made(bao, tmp_path).section().replace(bao.address, full)
    began = time.monotonic()
    running = await gateway(text(section, upstream.url))
    assert time.monotonic() - began < 1.7
    for _ in range(5):
        assert await statuses(running, [*NEEDY, "open"]) == [503, 503, 503, 503, 503, 200]


class Slow:
    """A road to a server on which each answer takes its time."""

    def __init__(self, port: int, delay: float) -> None:
        self._port = port
        self._delay = delay
        self._tasks = set[asyncio.Task[None]]()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.ensure_future(self._carry(reader, writer)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.gather(_pump(reader, outer, 0.0), _pump(inner, writer, self._delay))
        finally:
            outer.close()
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65536):
            await asyncio.sleep(delay)
            writer.write(part)
    writer.close()


@pytest.mark.parametrize("delay", [0.25, 1.3])
async def test_a_slow_vault_serves_all_else_at_once_and_the_rest_as_it_answers(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    bao: Bao,
    tmp_path: Path,
    delay: float,
) -> None:
    write(bao)
    async with Slow(bao.port, delay) as address:
        section = Entry.made(bao, tmp_path).section().replace(bao.address, address)
        began = time.monotonic()
        running = await gateway(text(section, upstream.url))
        took = time.monotonic() - began
        assert await statuses(running, ["open"]) == [200]
        back = await all_served(running)
        await running.stop()
        assert took < 1.7
        assert back < 5.0
