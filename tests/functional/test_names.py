"""Names that mean several addresses, other ones later, or nothing any more (rows 24 and 27)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.functional.bodykit import until
from tests.functional.conftest import MakeGateway
from tests.functional.faultkit import PATH, Backend, nothing_is_held, only, service, states
from tests.functional.kit import Gateway
from tests.functional.loadkit import load

SOON = "resolve_ttl: 100ms\nkeepalive: 10s"


class Names:
    """Stands in for the system's resolver: `pool.test` means `addresses`; none is a failure."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def getaddrinfo(self, host: Any, port: Any, **_kind: Any) -> list[Any]:
        if host != "pool.test":  # uvloop asks for addresses too
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        self.asked += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in self.addresses]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names("127.0.0.2", "127.0.0.3")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", made.getaddrinfo)
    return made


@pytest.fixture
async def hosts() -> AsyncIterator[list[Backend]]:
    """Run backends on 127.0.0.2, .3 and .4, all on one port, named 2, 3 and 4."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.2", 0))
        port = sock.getsockname()[1]
    made = [Backend(str(last), f"127.0.0.{last}", port) for last in (2, 3, 4)]
    async with contextlib.AsyncExitStack() as stack:
        for one in made:
            await one.start()
            stack.push_async_callback(one.kill)
        yield made
    await asyncio.sleep(0.01)


def named(hosts: list[Backend], upstream: str = SOON, **keys: str) -> str:
    return service([f"http://pool.test:{hosts[0].port}"], upstream, **keys)


async def whom(running: Gateway, times: int = 12) -> str:
    replies = [await running.get(PATH) for _ in range(times)]
    assert {one.status for one in replies} == {200}
    return "".join(sorted({one.body.decode() for one in replies}))


async def test_each_address_is_a_target_from_the_first_answer_on(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    running = await gateway(named(hosts, "resolve_ttl: 30s"))
    assert await whom(running) == "23"
    assert [one.label for one in only(running).targets] == [
        f"http://pool.test:{hosts[0].port} at 127.0.0.2",
        f"http://pool.test:{hosts[0].port} at 127.0.0.3",
    ]
    assert abs(hosts[0].requests - hosts[1].requests) <= 2
    assert {b"Host: pool.test" in head for one in hosts[:2] for head in one.heads} == {True}
    assert names.asked == 1
    nothing_is_held(running)


async def test_an_address_that_comes_gets_traffic_and_one_that_goes_loses_it(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    """Connections are kept alive all the time, and nobody sees any of it."""
    running = await gateway(named(hosts))
    async with load(running) as seen:
        await until(lambda: seen.counts().keys() == {"2", "3"})
        names.addresses = ["127.0.0.3", "127.0.0.4"]
        await until(lambda: "4" in seen.counts())
        moved = seen.now()
        await asyncio.sleep(0.4)
    assert seen.failures() == []
    assert seen.counts(moved + 0.05).keys() == {"3", "4"}
    assert len(only(running).targets) == 2
    await until(lambda: not hosts[0]._open, 1.0)
    nothing_is_held(running)


async def test_a_request_on_an_address_that_goes_is_finished_and_its_connection_closed(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    running = await gateway(named(hosts))
    assert await whom(running) == "23"
    for one in hosts:
        one.mode, one.delay = "slow", 0.4
    asking = [asyncio.ensure_future(running.get(PATH)) for _ in range(4)]
    await until(lambda: hosts[0].busy >= 1)
    names.addresses = ["127.0.0.3", "127.0.0.4"]
    await until(lambda: any("127.0.0.4" in one.label for one in only(running).targets))
    replies = await asyncio.gather(*asking)
    assert {one.status for one in replies} == {200}
    assert b"2" in {one.body for one in replies}
    await until(lambda: not hosts[0]._open, 1.0)
    nothing_is_held(running)


async def test_a_name_that_no_longer_resolves_keeps_its_last_addresses(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    running = await gateway(named(hosts))
    async with load(running) as seen:
        await until(lambda: seen.counts().keys() == {"2", "3"})
        names.addresses = []
        asked = names.asked
        await until(lambda: names.asked >= asked + 2)
        broken = seen.now()
        await asyncio.sleep(0.4)
    assert seen.failures() == []
    assert seen.counts(broken).keys() == {"2", "3"}
    assert states(running) == "ok ok"


async def test_one_address_of_a_name_that_dies_is_left_out_by_itself(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    running = await gateway(named(hosts, f"{SOON}\noutliers: {{failures: 3, eject_for: 10s}}"))
    async with load(running) as seen:
        await until(lambda: seen.counts().keys() == {"2", "3"})
        await hosts[0].kill()
        await until(lambda: "ejected" in states(running))
        out = seen.now()
        await asyncio.sleep(0.4)
    assert seen.failures() == []
    assert seen.counts(out + 0.05).keys() == {"3"}


async def test_one_address_moves_without_a_second_target(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    """A container that was made anew: it refuses where it was, and is looked up at once."""
    names.addresses = ["127.0.0.2"]
    running = await gateway(named(hosts, "resolve_ttl: 60s"))
    assert await whom(running) == "2"
    names.addresses = ["127.0.0.3"]
    await hosts[0].kill()
    assert await whom(running) == "3"
    assert len(only(running).targets) == 1


async def test_the_addresses_are_known_at_once_behind_a_reload(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    text = named(hosts, f"{SOON}\nconcurrent: 100\noutliers: {{failures: 3, eject_for: 1500ms}}")
    running = await gateway(text)
    hosts[0].mode = "500"
    for _ in range(8):
        await running.get(PATH)
    assert states(running) == "ejected ok"
    names.addresses = []
    running.path.write_text(text.replace("concurrent: 100", "concurrent: 101"))
    assert await running.reload() is None
    assert states(running) == "ejected ok"
    assert await whom(running, 4) == "3"
    hosts[0].mode = "ok"
    await until(lambda: states(running) == "ok ok")
    assert await whom(running) == "23"


async def test_checks_follow_the_addresses(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    """A check resolves the name too, so a service that nobody asks is watched all the same."""
    checks = "health: {path: /health, interval: 50ms, timeout: 50ms, unhealthy: 1, healthy: 1}"
    running = await gateway(named(hosts, f"{SOON}\n{checks}"))
    await until(lambda: len(only(running).targets) == 2)
    await until(lambda: hosts[0].checks and hosts[1].checks)
    hosts[1].health = 503
    await until(lambda: states(running) == "ok unhealthy")
    assert await whom(running) == "2"
    names.addresses = ["127.0.0.2", "127.0.0.4"]
    await until(lambda: any("127.0.0.4" in one.label for one in only(running).targets))
    await until(lambda: states(running) == "ok ok")
    checked = hosts[1].checks
    await until(lambda: hosts[2].checks > 2)
    assert hosts[1].checks <= checked + 1
    assert await whom(running) == "24"


async def test_when_all_addresses_have_moved_only_who_met_the_old_ones_sees_it(
    gateway: MakeGateway, names: Names, hosts: list[Backend]
) -> None:
    """Nobody asked for a while, so nobody looked: a refused connection looks the name up at once."""
    running = await gateway(named(hosts, "resolve_ttl: 60s"))
    assert await whom(running) == "23"
    await hosts[0].kill()
    await hosts[1].kill()
    names.addresses = ["127.0.0.4", "127.0.0.5"]
    asked = names.asked
    await running.get(PATH)
    await until(lambda: names.asked > asked)
    assert await whom(running, 4) == "4"
    assert names.asked <= asked + 8, "once at a time"
