"""What is taken back in Vault is refused within one soft time, and is never used again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream
from tests.functional.loadkit import load
from tests.functional.vaultkit import Entry, ask, calling, code_of, routes, write_keys

FRESH = 1.0


def forbid(bao: Bao, tenant: str) -> None:
    """Take the right away from each policy of the tests: a denial wins over any other rule."""
    for name in bao.call("LIST", "sys/policies/acl")["data"]["keys"]:
        if name.startswith("test-"):
            path = f"secret/data/tenants/{tenant}/crm"
            bao.policy(
                name,
                'path "secret/data/*" { capabilities = ["read"] }\n'
                f'path "{path}" {{ capabilities = ["deny"] }}',
            )


WAYS: dict[str, tuple[Callable[[Bao, str], None], tuple[int, str]]] = {
    "deleted": (lambda bao, it: bao.delete(f"tenants/{it}/crm"), (424, "credential_missing")),
    "destroyed": (lambda bao, it: bao.destroy(f"tenants/{it}/crm", 1), (424, "credential_missing")),
    "removed": (lambda bao, it: bao.remove(f"tenants/{it}/crm"), (424, "credential_missing")),
    "forbidden": (forbid, (502, "secret_forbidden")),
}


@pytest.fixture
def entry(lasting_bao: Bao, tmp_path: Path) -> Entry:
    return Entry.made(lasting_bao, tmp_path)


@contextlib.contextmanager
def paused(bao: Bao) -> Iterator[None]:
    bao.pause()
    try:
        yield
    finally:
        bao.resume()


async def test_what_is_taken_back_is_refused_within_its_soft_time_and_while_vault_is_away(
    gateway: MakeGateway, upstream: RecordingUpstream, lasting_bao: Bao, entry: Entry
) -> None:
    """Four tenants under load, each taken back in another way; a fifth keeps what it has."""
    write_keys(lasting_bao, [*WAYS, "kept"])
    section = entry.section(f"{{fresh: {FRESH:g}s, stale_if_error: 1h, negative: 1s}}")
    running = await gateway(routes(section, upstream.url))
    tenants = [*WAYS, "kept"]
    async with load(running, rate=100, make=lambda n: calling(tenants[n % len(tenants)])) as seen:
        await asyncio.sleep(0.5)
        assert seen.failures() == []
        for tenant, (take, _) in WAYS.items():
            await asyncio.to_thread(take, lasting_bao, tenant)
        await asyncio.sleep(FRESH + 0.1)
        upstream.seen.clear()
        await asyncio.sleep(1.2)  # it is asked for again in this time
        with paused(lasting_bao):
            await asyncio.sleep(1.5)
        await asyncio.to_thread(lasting_bao.kill)
        await asyncio.sleep(0.3)
    assert {one.header("Authorization") for one in upstream.seen} == {"Token key-of-kept"}
    assert len(upstream.seen) > 20
    for tenant, (_, told) in WAYS.items():
        reply = await ask(running, tenant)
        assert (reply.status, code_of(reply)) in (told, (503, "secret_unavailable")), tenant
    lasting_bao.start()
    assert (await until_told(running, "kept"))[0] == 200
    for tenant, (_, told) in WAYS.items():
        assert await until_told(running, tenant) == told
    lasting_bao.put("tenants/deleted/crm", key="key-of-deleted-anew")
    await asyncio.sleep(1.1)
    assert await until_told(running, "deleted") == (200, None)
    assert upstream.last.header("Authorization") == "Token key-of-deleted-anew"


async def until_told(running: Gateway, tenant: str) -> tuple[int, str | None]:
    """Ask until the store has a word to say."""
    async with asyncio.timeout(5):
        while (reply := await ask(running, tenant)).status == 503:
            await asyncio.sleep(0.1)
    return reply.status, code_of(reply)
