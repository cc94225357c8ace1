"""The pools of tenants' hosts: one for each, bounded, kept over a reload, and nothing left of them."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from pathlib import Path
from typing import Any

import pytest

from proxy import Attempt
from proxy.upstream.standing import Standing
from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import nothing_is_held
from tests.functional.kit import Gateway, request
from tests.functional.plugins_for_tests import NOTES
from tests.functional.tenantkit import (
    ACME,
    BETA,
    PATH,
    TenantNames,
    TenantServer,
    answer,
    code,
    pools,
    shop,
)

LONG = ", keepalive: 10s"


def origins_of(running: Gateway) -> Any:
    (upstream,) = running.host.gateway.snapshot.upstreams.values()
    return upstream.origins


def kept(kind: type[Any]) -> int:
    return sum(type(one) is kind for one in gc.get_objects())


async def test_connections_are_kept_for_each_host_apart(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca, upstream=LONG))
    for host in (ACME, BETA, ACME, BETA):
        assert (await running.get(f"{PATH}/x", tenant.base(host=host))).status == 200
    assert tenant.named == [ACME, BETA]
    assert [one.attempts[0].reused for one in NOTES] == [False, False, True, True]
    assert [one.attempts[0].target for one in NOTES[:2]] == [tenant.alias(), tenant.alias(BETA)]


async def test_one_tenants_hanging_host_takes_no_others_place(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca, upstream=", concurrent: 1, queue: 0"))
    tenant.hold = asyncio.Event()
    hanging = asyncio.ensure_future(running.get(f"{PATH}/x", tenant.base()))
    await until(lambda: tenant.seen)
    assert code(await running.get(f"{PATH}/x", tenant.base())) == "upstream_saturated"
    other = asyncio.ensure_future(running.get(f"{PATH}/x", tenant.base(host=BETA)))
    await until(lambda: len(tenant.seen) == 2)
    status = running.host.gateway.status().upstreams[0]
    assert (status.name, status.in_flight, status.origins) == ("shop", 2, 2)
    tenant.hold.set()
    assert {(await one).status for one in (hanging, other)} == {200}


async def test_one_tenants_failing_host_opens_no_others_breaker(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = ", breaker: {failures: 2, open_for: 10m}"
    running = await gateway(shop(tenant, tenant_ca, upstream=breaker))
    tenant.answer = answer("503 Service Unavailable")
    for _ in range(2):
        assert (await running.get(f"{PATH}/x", tenant.base())).status == 503
    tenant.answer = answer()
    assert code(await running.get(f"{PATH}/x", tenant.base())) == "upstream_unavailable"
    assert (await running.get(f"{PATH}/x", tenant.base(host=BETA))).status == 200
    assert f"target {tenant.alias()} of 'shop' is left out" in caplog.text
    assert "shops.example" not in caplog.text


async def test_the_least_recently_used_goes_and_never_one_that_is_used(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca, upstream=f"{LONG}, breaker: {{}}"))
    assert (await running.get(f"{PATH}/x", tenant.base("/a"))).status == 200
    origins_of(running)._most = 2
    gone = [weakref.ref(pool) for pool in pools(running)]
    hold = tenant.hold = asyncio.Event()
    busy = asyncio.ensure_future(running.get(f"{PATH}/x", tenant.base("/b")))
    await until(lambda: len(tenant.seen) == 2)
    tenant.hold = None
    gc.collect()
    standings = kept(Standing)
    gc.disable()
    try:
        for path in ("/c", "/d", "/e"):
            assert (await running.get(f"{PATH}/x", tenant.base(path))).status == 200
        assert [pool.spec.path for pool in pools(running)] == ["/b", "/e"]
        NOTES.clear()
        await asyncio.sleep(0.05)
        assert [one() for one in gone] == [None], "it ends by itself, whatever a collector does"
        assert kept(Standing) == standings, "one comes and one goes with each"
    finally:
        gc.enable()
    hold.set()
    assert (await busy).status == 200
    assert running.host.gateway.status().upstreams[0].open == 2
    nothing_is_held(running)


async def test_idle_connections_are_closed_after_their_time(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca, upstream=", keepalive: 100ms"))
    assert (await running.get(f"{PATH}/x", tenant.base())).status == 200
    (pool,) = pools(running)
    assert pool.open == 1
    await until(lambda: pool.open == 0)


async def test_a_reload_keeps_what_it_does_not_change(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    text = shop(tenant, tenant_ca, upstream=LONG)
    running = await gateway(text)
    assert (await running.get(f"{PATH}/x", tenant.base())).status == 200
    running.path.write_text(text.replace("plugins: [metrics", "plugins: [request-id, metrics"))
    assert await running.reload() is None
    assert (await running.get(f"{PATH}/x", tenant.base())).status == 200
    assert tenant.named == [ACME], "the connection of before"
    (before,) = pools(running)
    running.path.write_text(text.replace("keepalive: 10s", "keepalive: 11s"))
    assert await running.reload() is None
    assert pools(running) == []
    await until(lambda: before.open == 0)


async def test_a_request_that_is_on_its_way_outlives_a_reload_and_its_pool(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    text = shop(tenant, tenant_ca, upstream=LONG)
    running = await gateway(text)
    tenant.hold = asyncio.Event()
    asking = asyncio.ensure_future(running.get(f"{PATH}/x", tenant.base()))
    await until(lambda: tenant.seen)
    (before,) = pools(running)
    running.path.write_text(text.replace("keepalive: 10s", "keepalive: 11s"))
    assert await running.reload() is None
    tenant.hold.set()
    assert (await asking).status == 200
    await until(lambda: before.open == 0)
    assert before.in_flight == 0


async def test_a_request_that_leaves_when_its_snapshot_has_ended_leaves_nothing(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    running = await gateway(shop(tenant, tenant_ca, upstream=LONG))
    assert (await running.get(f"{PATH}/x", tenant.base())).status == 200
    origins = origins_of(running)
    (origin,) = origins._pools
    origins.close()
    pool = await origins.pool(origin)
    assert len(origins) == 0
    assert pool.try_enter()
    target = pool.group.choose()
    connection = await pool.connect(
        target, running.host.gateway.snapshot.config.routes[0].timeouts, Attempt(target.label), 0.0
    )
    pool.give_back(target, connection)
    pool.leave()
    await until(lambda: pool.open == 0)


async def test_a_reload_leaves_nothing_of_the_pools_that_it_replaces(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path
) -> None:
    """What was there at a reload is frozen: a cycle would stay for ever."""
    text = shop(tenant, tenant_ca, upstream=f"{LONG}, breaker: {{}}")
    running = await gateway(text)
    for host in (ACME, BETA):
        assert (await running.get(f"{PATH}/x", tenant.base(host=host))).status == 200
    running.path.write_text(text.replace("plugins: [metrics", "plugins: [request-id, metrics"))
    assert await running.reload() is None
    left = [weakref.ref(pool) for pool in pools(running)]
    assert len(left) == 2
    gc.disable()
    try:
        running.path.write_text(text.replace("keepalive: 10s", "keepalive: 11s"))
        assert await running.reload() is None
        NOTES.clear()
        await asyncio.sleep(0.2)
        assert [one() for one in left] == [None, None]
    finally:
        gc.enable()


KINDS = {
    "answered": "127.0.0.1",
    "refused address": "10.0.0.1",
    "refused connection": "127.0.0.9",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hundred_requests_leave_nothing_to_collect(
    gateway: MakeGateway,
    tenant: TenantServer,
    tenant_names: TenantNames,
    tenant_ca: Path,
    kind: str,
) -> None:
    tenant_names.answers[ACME] = [[KINDS[kind]]]
    once = "    retry: {attempts: 1}\n"
    running = await gateway(shop(tenant, tenant_ca, upstream=LONG, more=once))
    client = await running.client()

    async def ask(times: int) -> None:
        for _ in range(times):
            client.send(request(f"{PATH}/x", tenant.base("/t")))
            await client.reply()
            NOTES.clear()

    await ask(5)
    await asyncio.sleep(0.01)
    gc.collect()
    gc.disable()
    try:
        await ask(100)
        await asyncio.sleep(0)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = [
            each for each in gc.garbage if type(each).__module__.startswith(("proxy", "plugins"))
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not ours, sorted({type(each).__qualname__ for each in ours})


async def test_no_page_names_a_tenants_host_and_none_of_them_is_tried(
    gateway: MakeGateway, tenant: TenantServer, tenant_names: TenantNames, tenant_ca: Path
) -> None:
    tenant_names.answers[BETA] = [["10.0.0.1"]]
    running = await gateway(shop(tenant, tenant_ca), control=True, probe=True)
    assert (await running.get(f"{PATH}/x", tenant.base())).status == 200
    assert (await running.get(f"{PATH}/x", tenant.base(host=BETA))).status == 502
    asked = list(tenant_names.asked)
    pages = [await running.admin(page) for page in ("/metrics", "/ready", "/status", "/")]
    told = b"".join(page.body for page in pages)
    assert b"shops.example" not in told
    assert b".tenant" not in pages[0].body, "no label grows with the tenants"
    assert b'brain_upstream_connections{state="idle",upstream="shop"} 1.0' in pages[0].body
    assert json.loads(pages[1].body)["status"] == "ok"
    assert tenant_names.asked == asked
