"""rate-limit on gateways that share a real Valkey: exact together, and alone when it is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.ports.secrets import Keeping
from proxy.secrets.files import FileStore
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, request
from tests.functional.valkeykit import Server, serving

PATH = "/api/brain/echo/"
LATE = 0.6
"""Seconds in which every request has its answer, whatever the store does: its timeout is 0.2 s."""


def shared(url: str, store: str, limits: str, more: str = "") -> str:
    return f"""
version: 1
plugins: [metrics]
services:
  echo:
    upstream: "{url}"
    public: true
    plugins:
      - rate-limit:
          {{limits: {limits}, key: address{more}, store: {{valkey: "{store}", timeout: 200ms}}}}
"""


@dataclass
class Load:
    """What clients got that ask all the time: statuses, and the longest wait, since `forget`."""

    statuses: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0

    def forget(self) -> None:
        self.statuses.clear()
        self.longest = 0.0

    async def ask(self, running: Gateway, pause: float) -> None:
        client = await running.client()
        while True:
            begun = time.perf_counter()
            client.send(request(PATH))
            status = (await client.reply()).status
            self.longest = max(self.longest, time.perf_counter() - begun)
            self.statuses[status] += 1
            await asyncio.sleep(pause)


@asynccontextmanager
async def load(*gateways: Gateway, clients: int = 4, pause: float = 0.002) -> AsyncIterator[Load]:
    made = Load()
    tasks = [asyncio.create_task(made.ask(one, pause)) for one in gateways for _ in range(clients)]
    yield made
    failed = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert failed == []


async def decided(running: Gateway) -> dict[str, float]:
    text = (await running.admin("/metrics")).body.decode()
    lines = [line for line in text.splitlines() if line.startswith("brain_rate_limit_decisions")]
    return {line.split('outcome="')[1].split('"')[0]: float(line.split()[-1]) for line in lines}


async def until_counted(running: Gateway, outcome: str) -> None:
    """Wait until one more request has this outcome: who counts has changed."""
    before = (await decided(running))[outcome]
    async with asyncio.timeout(5):
        while (await decided(running))[outcome] == before:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("limits", "burst", "rate"),
    [
        ("[{rate: 200/s, burst: 40}]", 40, 200),
        ("[{rate: 200/s, burst: 40}, {rate: 9000/min, burst: 50}]", 50, 150),
    ],
)
async def test_two_gateways_admit_together_what_one_limit_admits(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    valkey: Server,
    limits: str,
    burst: int,
    rate: int,
) -> None:
    text = shared(upstream.url, valkey.url, limits)
    one, other = await gateway(text), await gateway(text)
    begun = time.perf_counter()
    async with load(one, other) as got:
        await asyncio.sleep(4)
        admitted, elapsed = got.statuses[200], time.perf_counter() - begun
        assert got.statuses[429] > 100
    assert admitted == pytest.approx(burst + rate * elapsed, rel=0.02)


async def test_a_decision_is_one_round_trip_for_all_windows(
    gateway: MakeGateway, upstream: RecordingUpstream, valkey: Server
) -> None:
    text = shared(upstream.url, valkey.url, "[100/s, 1000/min, 5000/h]")
    running = await gateway(text)
    await running.get(PATH)
    await valkey.forget_calls()
    for _ in range(20):
        assert (await running.get(PATH)).status == 200
    calls = await valkey.calls()
    calls.pop("config|resetstat", None)
    assert calls.pop("evalsha") == 20
    assert set(calls) <= {"get", "set", "time", "info"}  # what the script itself does
    keys = await valkey.ask("KEYS", "*")
    assert len(keys) == 3
    assert all(key.startswith(b"brain:limit:{") and b"127.0.0.1" not in key for key in keys)
    assert all([0 < await valkey.ask("PTTL", key.decode()) <= 3_600_000 for key in keys])


async def test_the_answers_of_both_tell_what_is_left_for_both(
    gateway: MakeGateway, upstream: RecordingUpstream, valkey: Server
) -> None:
    text = shared(upstream.url, valkey.url, "3/h")
    one, other = await gateway(text), await gateway(text)
    got = [await running.get(PATH) for running in (one, other, one, other)]
    assert [reply.status for reply in got] == [200, 200, 200, 429]
    assert [(reply.header("RateLimit") or "").split(";")[1] for reply in got] == [
        "r=2",
        "r=1",
        "r=0",
        "r=0",
    ]
    assert got[3].header("Retry-After") in {"1199", "1200"}


async def test_gateways_with_other_files_do_not_share_by_accident(
    gateway: MakeGateway, upstream: RecordingUpstream, valkey: Server
) -> None:
    text = shared(upstream.url, valkey.url, "1/h")
    one, other = await gateway(text), await gateway(text.replace("echo:", "echo2:"))
    assert (await one.get(PATH)).status == 200
    assert (await other.get("/api/brain/echo2/")).status == 200
    assert (await other.get("/api/brain/echo2/")).status == 429


# -- when the store is away

POLICIES = [
    ("local", {"admitted_alone", "refused_alone"}, {200, 429}),
    ("deny", {"unavailable"}, {503}),
    ("allow", {"unchecked"}, {200}),
]


@pytest.mark.parametrize("how", ["killed", "hanging"])
@pytest.mark.parametrize(("policy", "outcomes", "statuses"), POLICIES)
async def test_when_the_store_goes_away_under_load_the_declared_policy_holds_at_once(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    valkey: Server,
    caplog: pytest.LogCaptureFixture,
    how: str,
    policy: str,
    outcomes: set[str],
    statuses: set[int],
) -> None:
    more = f", on_store_error: {policy}, local_share: 50%"
    text = shared(upstream.url, valkey.url, "[{rate: 100/s, burst: 30}]", more)
    one, other = await gateway(text), await gateway(text)
    async with load(one, other) as got:
        await asyncio.sleep(0.4)
        assert {200, 429} == set(got.statuses)
        if how == "killed":
            await valkey.kill()
        else:
            valkey.hang()
        await asyncio.sleep(0.4)  # the answers that were under way
        got.forget()
        begun = time.perf_counter()
        await asyncio.sleep(1)
        assert set(got.statuses) == statuses
        assert got.longest < LATE
        # Nobody waits for a store that is known to be away: who did could ask five times.
        assert got.statuses.total() > 300
        if policy == "local":
            fair = 2 * 0.5 * 100 * (time.perf_counter() - begun)
            assert got.statuses[200] == pytest.approx(fair, rel=0.15)
        ready = json.loads((await one.admin("/ready")).body)
        assert "away" in json.dumps(ready)

        got.forget()
        if how == "killed":
            await valkey.start()
        else:
            valkey.resume()
        await until_counted(one, "refused")
        await until_counted(other, "refused")
        got.forget()
        begun = time.perf_counter()
        await asyncio.sleep(1)
        assert got.statuses[200] == pytest.approx(100 * (time.perf_counter() - begun), rel=0.1)
    counted = await decided(one)
    assert all(counted[outcome] > 0 for outcome in outcomes)
    told = [record for record in caplog.records if record.name == "brain.store"]
    assert len(told) == 2  # two gateways, each of which says once that it is away


async def test_no_request_waits_longer_than_the_timeout_when_the_store_hangs(
    gateway: MakeGateway, upstream: RecordingUpstream, valkey: Server
) -> None:
    running = await gateway(shared(upstream.url, valkey.url, "100000/s"))
    async with load(running, clients=40, pause=0.0) as got:
        await asyncio.sleep(0.3)
        valkey.hang()
        await asyncio.sleep(1.0)
        assert got.longest < LATE
        assert set(got.statuses) == {200}
        valkey.resume()


async def test_a_refusal_for_lack_of_the_store_says_so(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    text = shared(upstream.url, "redis://127.0.0.1:1", "1/s", ", on_store_error: deny")
    running = await gateway(text)  # a store that is not there refuses no start
    reply = await running.get(PATH)
    assert (reply.status, json.loads(reply.body)["code"]) == (503, "store_unavailable")
    assert reply.header("Retry-After") == "1"
    assert upstream.seen == []


async def test_a_gateway_starts_without_its_store_and_finds_it_later(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    server = Server()
    running = await gateway(shared(upstream.url, server.url, "1000/s"))
    assert (await running.get(PATH)).status == 200
    try:
        await server.start()
        async with load(running, clients=1):
            await until_counted(running, "admitted")
    finally:
        await server.kill()


async def test_the_password_of_the_store_is_told_nowhere(
    gateway: MakeGateway, upstream: RecordingUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with serving(password="s3cret-word") as server:
        text = shared(upstream.url, "${REDIS_URL}", "1000/s")
        right = await gateway(text, REDIS_URL=server.url)
        assert (await right.get(PATH)).status == 200
        assert (await decided(right))["admitted"] == 1
        wrong = await gateway(text, REDIS_URL=server.url.replace("s3cret", "wr0ng"))
        assert (await wrong.get(PATH)).status == 200
        assert (await decided(wrong))["admitted_alone"] == 1
        pages = [
            (await running.admin(page)).body.decode()
            for running in (right, wrong)
            for page in ("/config", "/ready", "/metrics")
        ]
    assert await wrong.reload() is None
    everything = caplog.text + "".join(pages)
    assert "s3cret" not in everything
    assert "wr0ng" not in everything
    assert "is away" in caplog.text


async def test_the_store_outlives_a_reload_and_so_do_its_counts(
    gateway: MakeGateway, upstream: RecordingUpstream, valkey: Server
) -> None:
    text = shared(upstream.url, valkey.url, "2/h")
    running = await gateway(text)
    assert (await running.get(PATH)).status == 200
    clients = len((await valkey.ask("CLIENT", "LIST")).splitlines())
    running.path.write_text(text + "x-note: nothing that matters\n")
    assert await running.reload() is None
    assert (await running.get(PATH)).status == 200
    assert (await running.get(PATH)).status == 429
    assert len((await valkey.ask("CLIENT", "LIST")).splitlines()) == clients


async def test_the_address_may_be_in_a_secret_store_and_is_followed_there(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    valkey: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(FileStore, "keeping", Keeping(fresh=0.02))
    caplog.set_level("DEBUG")
    text = f"""
version: 1
secrets: {{file: {{path: kept}}}}
services:
  echo:
    upstream: "{upstream.url}"
    public: true
    plugins:
      - rate-limit:
          limits: 1000/h
          key: address
          store: {{valkey: {{secret: platform/redis, field: url}}, timeout: 1s}}
"""
    async with serving(password="n3w-word") as second:
        put(tmp_path, valkey.url)
        running = await gateway(text)
        assert (await running.get(PATH)).status == 200
        assert await keys(valkey) == 1
        put(tmp_path, second.url)
        async with asyncio.timeout(5):
            while not await keys(second):
                await running.get(PATH)
                await asyncio.sleep(0.02)
    assert "n3w-word" not in caplog.text


def put(folder: Path, url: str) -> None:
    """Write the secret in one step, readable for its owner alone."""
    file = folder / "kept" / "platform" / "redis.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name("redis.yaml~")
    fresh.write_text(f'url: "{url}"\n')
    fresh.chmod(0o600)
    fresh.replace(file)


async def keys(server: Server) -> int:
    return len(await server.ask("KEYS", "*"))
