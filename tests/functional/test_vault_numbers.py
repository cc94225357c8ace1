"""Many callers at once, and many tenants: what Vault is asked for, and what is kept of its answers."""

from __future__ import annotations

import asyncio
import gc
import resource
import textwrap
import time
import tracemalloc
from pathlib import Path

import pytest

from plugins.credentials import Credentials
from proxy.ports.secrets import Keeping, Secret, SecretStore
from proxy.secrets.cache import SecretCache
from proxy.testing import call, running
from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.vaultkit import Entry, calling, routes, write_keys


async def test_a_thousand_first_requests_at_once_cause_one_read(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    write_keys(bao, ["first"])
    section = Entry.made(bao, tmp_path).section()
    one = f'upstream: "{upstream.url}"'
    roomy = f'upstream: {{url: "{upstream.url}", queue: 1000}}\n            timeouts: {{pool: 5s}}'
    text = routes(section, upstream.url).replace(one, roomy, 1)
    running = await gateway("gateway: {limits: {per_address: 4096}}\n" + textwrap.dedent(text))
    clients = [await running.client() for _ in range(1000)]
    bao.forget_requests()
    for client in clients:
        client.send(calling("first"))
    replies = await asyncio.gather(*[client.reply() for client in clients])
    assert {reply.status for reply in replies} == {200}
    assert bao.requests() == [("read", "secret/data/tenants/first/crm")]


@pytest.mark.parametrize("count", [400, pytest.param(2000, marks=pytest.mark.soak)])
async def test_tenants_whom_nobody_has_seen_are_served_by_the_hundreds_a_second(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path, count: int
) -> None:
    """Fifty callers at a time, each a tenant whom nobody has seen: six threads ask for them."""
    tenants = [f"many-{count}-{number}" for number in range(count)]
    await asyncio.to_thread(write_keys, bao, tenants)
    running = await gateway(routes(Entry.made(bao, tmp_path).section("{fresh: 60s}"), upstream.url))
    waiting = iter(tenants)
    waits: list[float] = []

    async def one() -> None:
        client = await running.client()
        for tenant in waiting:
            began = time.perf_counter()
            client.send(calling(tenant))
            reply = await client.reply()
            waits.append(time.perf_counter() - began)
            assert reply.status == 200
            assert reply.body == b"ok"

    bao.forget_requests()
    began = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(50)])
    took = time.perf_counter() - began
    assert count / took > 100
    assert sorted(waits)[-count // 100] < 0.7
    keys = sorted(one.header("Authorization") or "" for one in upstream.seen)
    assert keys == sorted(f"Token key-of-{tenant}" for tenant in tenants)
    assert len(bao.requests()) == count


def resident() -> int:
    """Return the memory of this process in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Many(SecretStore):
    """Has an answer for every path, as large as a connector's: a key, a user, a host."""

    keeping = Keeping(fresh=3600.0)

    async def get(self, path: str) -> Secret:
        own = path.replace("/", "-")
        return Secret(
            {"key": f"sk_{own}_{'x' * 32}", "user": f"u@{own}", "base_url": own}, version=3
        )

    def remedy(self, path: str, field: str) -> str:
        return ""


async def test_thirty_thousand_paths_are_kept_in_less_than_two_kilobytes_each() -> None:
    """Ten thousand tenants with three connectors: none is forgotten, none is asked for again."""
    cache = SecretCache("many", Many())
    paths = [f"tenants/t{n}/connectors/{c}" for n in range(10_000) for c in ("crm", "ads", "erp")]
    before = resident()
    for start in range(0, len(paths), 1000):
        await asyncio.gather(*map(cache.get, paths[start : start + 1000]))
    each = (resident() - before) / len(paths)
    assert len(list(cache.entries)) == len(paths)
    assert each < 2048
    began = time.perf_counter()
    kept = [await cache.get(path) for path in paths]
    assert (time.perf_counter() - began) / len(paths) < 20e-6
    assert all(one.secret is not None for one in kept)
    assert cache.counts.outcomes == {"read": len(paths)}
    await cache.close()


async def test_what_is_sent_for_a_caller_takes_less_than_four_kilobytes_beside_that() -> None:
    """So ten thousand tenants with three connectors are below 200 MB in all."""
    callers = 1500
    store = {
        f"tenants/t{number}/crm": {"key": f"sk_{number}_{'x' * 40}", "user": f"u@{number}"}
        for number in range(callers + 100)
    }
    options = {
        "secret": "tenants/${principal.tenant}/crm",
        "headers": {"Authorization": "Bearer ${secret.key}", "X-User": "${secret.user}"},
    }
    async with running(Credentials, options, store=store) as plugin:
        for number in range(100):
            await call(plugin, claims={"sub": "ada", "tenant": f"t{callers + number}"})
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(callers):
                await call(plugin, claims={"sub": "ada", "tenant": f"t{number}"})
            gc.collect()
            each = tracemalloc.get_traced_memory()[0] / callers
        finally:
            tracemalloc.stop()
    assert each < 4096
