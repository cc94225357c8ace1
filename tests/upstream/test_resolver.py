"""Names are looked up again at their TTL; the last good answer outlives a broken DNS (row 24)."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from proxy.config.models import TargetSpec, Timeouts, UpstreamTls
from proxy.errors import GatewayError
from proxy.plugin.exchange import Attempt
from proxy.upstream.resolver import Resolver
from proxy.upstream.target import Target


class Names:
    """Stands in for the system's resolver: answers, fails or hangs as it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.address = "127.0.0.1"
        self.failing = self.hanging = False

    async def getaddrinfo(self, host: Any, port: Any, **_kind: Any) -> list[Any]:
        if not str(host).endswith(".test"):  # uvloop asks for addresses too
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        self.asked += 1
        if self.hanging:
            await asyncio.sleep(3600)
        if self.failing:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", made.getaddrinfo)
    return made


async def test_an_answer_serves_until_its_time_is_over(names: Names) -> None:
    resolver = Resolver(ttl=0.05)
    await resolver.resolve("a.test", 80)
    await resolver.resolve("a.test", 80)
    assert names.asked == 1
    names.address = "127.0.0.2"
    await asyncio.sleep(0.06)
    assert await resolver.resolve("a.test", 80) == ((socket.AF_INET, ("127.0.0.2", 80)),)


async def test_many_who_ask_at_once_cause_one_look_up(names: Names) -> None:
    resolver = Resolver()
    await asyncio.gather(*(resolver.resolve("a.test", 80) for _ in range(10)))
    assert names.asked == 1


async def test_a_name_that_stops_resolving_keeps_its_last_addresses(names: Names) -> None:
    resolver = Resolver(ttl=0.05)
    good = await resolver.resolve("a.test", 80)
    names.failing = True
    await asyncio.sleep(0.06)
    assert await resolver.resolve("a.test", 80) == good
    assert await resolver.resolve("a.test", 80) == good
    assert names.asked == 2, "not asked again at once"
    with pytest.raises(GatewayError, match="upstream_unresolved"):
        await resolver.resolve("b.test", 80)


async def test_an_address_that_refused_is_looked_up_again(names: Names) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    target = Target(TargetSpec("http", "a.test", port), UpstreamTls(), Resolver(60.0), None)
    for _ in range(2):
        with pytest.raises(GatewayError, match="upstream_connect_refused"):
            await target.connect(Timeouts(), Attempt(target.label), 0.0)
    assert names.asked == 2


async def test_a_resolver_that_hangs_is_504_for_a_new_name_and_nothing_for_a_known_one(
    names: Names,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        resolver = Resolver(ttl=0.01)
        spec = TargetSpec("http", "a.test", server.getsockname()[1])
        target = Target(spec, UpstreamTls(), resolver, None)
        timeouts = Timeouts(resolve=0.05)
        (await target.connect(timeouts, Attempt(target.label), 0.0)).close()
        names.hanging = True
        await asyncio.sleep(0.02)
        (await target.connect(timeouts, Attempt(target.label), 0.0)).close()
        other = Target(TargetSpec("http", "b.test", 80), UpstreamTls(), resolver, None)
        with pytest.raises(GatewayError, match="upstream_resolve_timeout"):
            await other.connect(timeouts, Attempt(other.label), 0.0)
    await asyncio.sleep(0)
