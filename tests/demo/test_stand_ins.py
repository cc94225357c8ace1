"""Start, environment and end of all stand-ins together."""

import asyncio
import hashlib
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientConnectorError, ClientSession, web

from proxy.demo import DEMO_KEY, StandIns
from proxy.demo import stand_ins as module


async def test_every_service_listens_on_loopback_only(stand_ins: StandIns) -> None:
    addresses = [v for name, v in stand_ins.environment().items() if name.endswith("_URL")]
    assert len(addresses) == 7
    assert {urlsplit(address).hostname for address in addresses} == {"127.0.0.1"}


async def test_two_demos_run_side_by_side(stand_ins: StandIns) -> None:
    second = StandIns()
    await second.start()
    try:
        assert second.environment()["LAGO_URL"] != stand_ins.environment()["LAGO_URL"]
    finally:
        await second.close()


async def test_the_environment_holds_the_demo_keys_digest_and_tenant(
    stand_ins: StandIns,
) -> None:
    digest = hashlib.sha256(DEMO_KEY.encode()).hexdigest()
    assert stand_ins.environment()["BRAIN_API_KEY_SHA256"] == digest
    assert stand_ins.environment()["BRAIN_API_KEY_TENANT"] == "acme"


async def test_another_key_and_another_origin_can_be_chosen() -> None:
    services = StandIns(key="mine", origin="https://portal.example.com")
    await services.start()
    environment = services.environment()
    await services.close()
    assert environment["BRAIN_API_KEY_SHA256"] == hashlib.sha256(b"mine").hexdigest()
    assert environment["BRAIN_CORS_ORIGINS"] == "https://portal.example.com"


def test_before_the_start_there_is_no_environment() -> None:
    with pytest.raises(KeyError):
        StandIns().environment()


async def test_after_close_nobody_listens(client: ClientSession) -> None:
    services = StandIns()
    await services.start()
    url = services.environment()["FALLBACK_URL"]
    await services.close()
    with pytest.raises(ClientConnectorError):
        await client.get(url)


async def test_close_may_come_first_and_twice() -> None:
    services = StandIns()
    await services.close()
    await services.start()
    await services.close()
    await services.close()
    assert repr(services) == "<StandIns not started>"


async def test_close_ends_what_half_a_start_began(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: web.Application) -> None:
        raise OSError("no port")

    def broken() -> web.Application:
        app = web.Application()
        app.on_startup.append(fail)
        return app

    monkeypatch.setattr(module, "HOSTS", {**module.HOSTS, "broken": broken})
    services = StandIns()
    with pytest.raises(OSError, match="no port"):
        await services.start()
    await services.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_close_does_not_wait_for_a_chat_that_goes_on(client: ClientSession) -> None:
    services = StandIns()
    await services.start()
    url = services.environment()["AGENTS_URL"]
    async with client.ws_connect(f"{url}/chat/ws/one") as chat, asyncio.timeout(3):
        closing = asyncio.ensure_future(services.close())
        await chat.receive()
        assert chat.close_code == 1001
        await closing


async def test_the_old_gateway_tells_what_reached_it(
    client: ClientSession, address: Callable[[str], str]
) -> None:
    url = address("FALLBACK") + "/any/path?a=1&a=2"
    async with client.put(url, data=b"12345", headers={"X-Seen": "yes"}) as response:
        told = await response.json()
    assert (told["service"], told["method"]) == ("old-gateway", "PUT")
    assert told["path"] == "/any/path?a=1&a=2"
    assert ["X-Seen", "yes"] in told["headers"]
    assert told["received"] == 5
