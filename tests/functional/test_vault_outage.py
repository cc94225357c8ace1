"""Vault goes away under load: who has a value goes on, who has none is told so soon."""

from __future__ import annotations

import asyncio
import logging
import resource
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request
from tests.functional.loadkit import Load, load
from tests.functional.vaultkit import KINDS, Entry, ask, calling, code_of, p99, routes, write_keys

KNOWN = [f"known-{number}" for number in range(20)]
OPEN = request("/api/brain/open/x")

PART = {"paused": " (mount 'secret')"}
WHY = {
    "killed": "can't be connected to",
    "sealed": "is sealed (503)",
    "paused": f"did not answer in time{PART['paused']}",
}
"""What the log says of each outage, once."""

SECONDS = [10.0, pytest.param(30.0, marks=[pytest.mark.soak, pytest.mark.timeout(120)], id="long")]


def to_known(number: int) -> bytes:
    return calling(KNOWN[number % len(KNOWN)])


def resident() -> int:
    """Return the memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


class Most:
    """The most threads for Vault, and tasks, that were there at once."""

    def __init__(self) -> None:
        self.threads = self.tasks = 0
        self.look()

    def look(self) -> None:
        mine = sum(one.name.startswith("vault") for one in threading.enumerate())
        self.threads = max(self.threads, mine)
        self.tasks = max(self.tasks, len(asyncio.all_tasks()))


async def strangers(running: Gateway, until: float, most: Most) -> list[float]:
    """Ask as one new tenant after another; return how long each waited for its 503."""
    times: list[float] = []
    while time.monotonic() < until:
        began = time.perf_counter()
        replies = await asyncio.gather(
            *[ask(running, f"stranger-{len(times)}-{number}") for number in range(5)]
        )
        times.append(time.perf_counter() - began)
        most.look()
        for reply in replies:
            assert (reply.status, code_of(reply)) == (503, "secret_unavailable")
            assert 1 <= int(reply.header("Retry-After") or "") <= 5
        await asyncio.sleep(0.05)
    return times


async def served(running: Gateway, tenant: str) -> float:
    """Wait until a tenant is served that never was, and return how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(10):
        while (await ask(running, tenant)).status != 200:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


@dataclass
class Told:
    """What came of one outage. Times are in seconds."""

    known: Load
    others: Load
    began: float
    ended: float
    strangers: list[float]
    recovered: float


async def outage(running: Gateway, bao: Bao, kind: str, seconds: float, most: Most) -> Told:
    """Let a server go away under load, and come back."""
    away, back = KINDS[kind]
    async with (
        load(running, clients=6, rate=60, make=to_known) as known,
        load(running, clients=3, rate=30, make=lambda _: OPEN) as others,
    ):
        await asyncio.sleep(0.5)
        began = known.now()
        await asyncio.to_thread(away, bao)
        try:
            waited = await strangers(running, time.monotonic() + seconds, most)
        finally:
            await asyncio.to_thread(back, bao)
        ended = known.now()
        recovered = await served(running, f"new-{kind}")
        await asyncio.sleep(0.3)
    return Told(known, others, began, ended, waited, recovered)


@pytest.mark.parametrize("seconds", SECONDS)
async def test_outages_are_noticed_by_nobody_but_new_tenants_who_are_told_so_within_a_second(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    bao: Bao,
    lasting_bao: Bao,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
) -> None:
    """Three servers with a gateway each go away at once: one is killed, one sealed, one hangs.

    The gateways' tokens end in the meantime. Who has a value waits for a server that hangs once, at
    the end of `fresh`, which is a second here, and for at most 0.8 s.
    """
    caplog.set_level(logging.INFO, "brain.secrets.vault")
    with Bao() as third:
        servers = {"killed": lasting_bao, "sealed": bao, "paused": third}
        gateways = {}
        for kind, server in servers.items():
            write_keys(server, [*KNOWN, f"new-{kind}"])
            folder = tmp_path / kind
            folder.mkdir()
            entry = Entry.made(server, folder, ttl="5s")
            gateways[kind] = await gateway(routes(entry.section(), upstream.url))
        most, memory = Most(), resident()
        at_first = most.tasks
        told = dict(
            zip(
                servers,
                await asyncio.gather(
                    *[
                        outage(gateways[kind], server, kind, seconds, most)
                        for kind, server in servers.items()
                    ]
                ),
                strict=True,
            )
        )
    for kind, why in WHY.items():
        address = f"Vault at {servers[kind].address}"
        assert caplog.text.count(f"{address} {why}; what it gave stays in use") == 1, kind
        assert f"{address}{PART.get(kind, '')} answers again, after " in caplog.text, kind
    for kind, one in told.items():
        assert one.known.failures() == [], kind
        assert one.others.failures() == [], kind
        assert len(one.known.outcomes) > 40 * seconds, kind
        # Who waits for a Vault waits 0.8 s; a busy machine makes a tenth of a second by itself.
        assert p99(one.others, one.began, one.ended) < 0.4, kind
        assert max(each.seconds for each in one.known.outcomes) < 1.0, kind
        slow = [each for each in one.known.outcomes if each.seconds > 0.3]
        assert len(slow) <= 12, kind
        assert [each for each in slow if each.at > one.began + 5.0] == [], kind
        assert max(one.strangers) < 1.0, kind
        assert one.recovered < 5.0, kind
    assert most.threads <= 3 * 8
    # Who is new waits behind one login: for as long as that may take, and not for ever.
    assert most.tasks < at_first + 400
    assert resident() < memory + 60
