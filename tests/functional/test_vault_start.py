"""Starts and reloads while Vault is down, sealed, hangs, or can't even be connected to."""

from __future__ import annotations

import asyncio
import json
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
