"""What operators see of a store in trouble: its name everywhere, and no tenant's path."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from proxy.cli.socket_client import ask as control
from proxy.cli.status import _lines
from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream
from tests.functional.scraping import scrape
from tests.functional.vaultkit import Entry, ask, routes, write_keys


async def told(running: Gateway, target: str, method: str = "GET") -> Any:
    path = str(running.host.config.gateway.control)
    return (await asyncio.to_thread(control, path, method, target))[1]


async def test_a_store_in_trouble_shows_with_its_name_and_no_tenants_path(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    write_keys(bao, ["acme", "globex"])
    entry = Entry.made(bao, tmp_path)
    text = routes(entry.section(), upstream.url).replace("plugins:\n", "plugins:\n- metrics\n", 1)
    text = text.replace("- metrics", "          - metrics")
    running = await gateway(text)
    assert (await ask(running, "acme")).status == 200
    assert (await scrape(running)).value("brain_secret_store_up", store="vault") == 1
    bao.seal()
    try:
        async with asyncio.timeout(10):
            while "secrets vault" not in (ready := await checks(running)):
                await ask(running, "globex")
                await asyncio.sleep(0.05)
        assert bao.address in ready["secrets vault"]
        shown = await told(running, "/status")
        assert shown["secrets"] == [{"name": "vault", "why": ready["secrets vault"]}]
        assert f"secrets      vault: {ready['secrets vault']}" in list(_lines(shown))
        found = await told(running, "/secrets")
        assert found["stores"][0]["why"] == ready["secrets vault"]
        worst = found["secrets"][0]
        assert (worst["path"], worst["state"]) == ("tenants/globex/crm", "away")
        scraped = await scrape(running)
        assert scraped.value("brain_secret_store_up", store="vault") == 0
        assert scraped.value("brain_secret_reads_total", store="vault", outcome="failed") >= 1
        pages = json.dumps([ready, shown]) + (await running.admin("/metrics")).body.decode()
        for private in ("globex", "acme", "key-of"):
            assert private not in pages
        assert "key-of" not in str(found)
    finally:
        bao.unseal()
    async with asyncio.timeout(10):
        while (await ask(running, "globex")).status != 200:
            await asyncio.sleep(0.05)
    assert "secrets vault" not in await checks(running)


async def checks(running: Gateway) -> dict[str, str]:
    found: dict[str, str] = json.loads((await running.admin("/ready")).body)["checks"]
    return {name: why for name, why in found.items() if why != "ok"}


async def test_a_refresh_over_the_control_socket_uses_a_new_version_at_once(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    write_keys(bao, ["hooli"])
    section = Entry.made(bao, tmp_path).section("{fresh: 10m}")
    running = await gateway(routes(section, upstream.url))
    await ask(running, "hooli")
    version = bao.put("tenants/hooli/crm", key="key-of-hooli-2")
    await ask(running, "hooli")
    assert upstream.last.header("Authorization") == "Token key-of-hooli"
    found = await told(running, "/secrets/refresh?path=tenants/hooli/crm", "POST")
    assert (found["state"], found["version"], found["changed"]) == ("ok", version, True)
    await ask(running, "hooli")
    assert upstream.last.header("Authorization") == "Token key-of-hooli-2"
    assert "key-of" not in str(found)
