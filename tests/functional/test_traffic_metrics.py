"""What a scrape tells an operator of targets, breakers, bounds, the loop and the process."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RawUpstream, RecordingUpstream
from tests.functional.scraping import Scrape, scrape

MakeUpstream = Callable[..., Awaitable[RawUpstream]]
BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def bad() -> AsyncIterator[RecordingUpstream]:
    """A target that answers 503."""
    server = RecordingUpstream()
    server.answer = BAD
    await server.start()
    yield server
    await server.close()


async def serving(gateway: MakeGateway, upstream: str, more: str = "") -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins: [metrics]
        services:
          shop: {{public: true, upstream: {upstream}{more}}}
        """
    )


async def until(running: Gateway, seen: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until that is seen, for at most five seconds."""
    async with asyncio.timeout(5.0):
        while not seen(found := await scrape(running)):
            await asyncio.sleep(0.02)
    return found


async def test_a_target_that_is_ejected_is_told_from_one_that_is_well(
    gateway: MakeGateway, upstream: RecordingUpstream, bad: RecordingUpstream
) -> None:
    targets = f'targets: ["{upstream.url}", "{bad.url}"]'
    running = await serving(gateway, f"{{{targets}, outliers: {{failures: 2, eject_for: 1m}}}}")
    for _ in range(6):
        await running.get("/api/brain/shop/")
    found = await scrape(running)
    assert found.value("brain_target_up", upstream="shop", target=upstream.url) == 1
    assert found.value("brain_target_up", upstream="shop", target=bad.url) == 0
    states = {
        one.labels["state"]: one.value for one in found.all("brain_target_state", target=bad.url)
    }
    assert states.pop("ejected") == 1
    assert set(states) == {"ok", "unhealthy", "open", "half-open", "probing"}
    assert not any(states.values())
    assert found.value("brain_target_state", target=upstream.url, state="ok") == 1
    assert found.value("brain_target_ejections_total", target=bad.url) == 1
    assert found.value("brain_target_ejections_total", target=upstream.url) == 0
    assert found.value("brain_upstream_panicking", upstream="shop") == 0


async def test_a_breaker_that_opened_is_counted_and_the_status_says_which(
    gateway: MakeGateway, bad: RecordingUpstream, tmp_path: Path
) -> None:
    options = "breaker: {failures: 2, open_for: 1m}"
    running = await serving(gateway, f'{{url: "{bad.url}", {options}}}')
    for _ in range(3):
        await running.get("/api/brain/shop/")
    found = await scrape(running)
    assert found.value("brain_target_state", target=bad.url, state="open") == 1
    assert found.value("brain_target_breaker_openings_total", target=bad.url) == 1
    assert found.value("brain_requests_total", code="upstream_unavailable", status_class="5xx") == 1


async def test_health_checks_are_counted_before_any_request_and_panic_is_told(
    gateway: MakeGateway, bad: RecordingUpstream
) -> None:
    running = await serving(gateway, f'{{url: "{bad.url}", health: /health}}')
    found = await until(running, lambda one: bool(one.all("brain_target_health_checks_total")))
    assert found.value("brain_target_health_checks_total", target=bad.url, result="failed") == 1
    assert found.value("brain_target_health_checks_total", target=bad.url, result="passed") == 0
    assert found.value("brain_target_state", target=bad.url, state="unhealthy") == 1
    assert found.value("brain_upstream_panicking", upstream="shop") == 1


async def test_an_upstream_that_was_never_used_has_no_series(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, f'"{upstream.url}"')
    assert not (await scrape(running)).all("brain_target_up")
    await running.get("/api/brain/shop/")
    assert (await scrape(running)).value("brain_target_up", target=upstream.url) == 1


async def test_slots_that_are_taken_and_wait_stand_beside_their_bounds(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.hold = asyncio.Event()
    running = await serving(gateway, f'{{url: "{upstream.url}", concurrent: 1, queue: 7}}')
    asked = [asyncio.ensure_future(running.get("/api/brain/shop/")) for _ in range(3)]
    name = {"upstream": "shop"}
    found = await until(running, lambda one: one.all("brain_upstream_waiting", **name) != [])
    found = await until(running, lambda one: one.value("brain_upstream_waiting", **name) == 2)
    assert found.value("brain_upstream_in_flight", **name) == 1
    assert found.value("brain_upstream_in_flight_limit", **name) == 1
    assert found.value("brain_upstream_waiting_limit", **name) == 7
    assert found.value("brain_target_in_flight", **name, target=upstream.url) == 1
    upstream.hold.set()
    await asyncio.gather(*asked)
    found = await scrape(running)
    assert found.value("brain_upstream_in_flight", **name) == 0
    assert found.value("brain_target_in_flight", **name, target=upstream.url) == 0


async def test_retries_over_the_budget_are_counted_apart(
    gateway: MakeGateway, bad: RecordingUpstream
) -> None:
    retry = "retry: {statuses: [503], budget: 0%, floor: 1}"
    running = await serving(gateway, f'"{bad.url}"', f", {retry}")
    for _ in range(3):
        await running.get("/api/brain/shop/")
    found = await scrape(running)
    assert found.value("brain_retries_total", upstream="shop", reason="status") == 1
    assert found.value("brain_retries_refused_total", upstream="shop") == 2


def above(found: Scrape, bound: str) -> float:
    """Return how many looks found the loop later than `bound` seconds."""
    name = "brain_event_loop_lag_seconds"
    return found.value(f"{name}_count") - found.value(f"{name}_bucket", le=bound)


async def test_a_loop_that_was_blocked_is_seen(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, f'"{upstream.url}"')
    before = await until(running, lambda one: one.value("brain_event_loop_lag_seconds_count") >= 1)
    time.sleep(0.7)
    found = await until(running, lambda one: above(one, "0.5") > above(before, "0.5"))
    assert found.value("brain_event_loop_lag_seconds_sum") > 0.5


async def test_a_loop_that_is_free_is_looked_at_and_found_in_time(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, f'"{upstream.url}"')
    found = await until(running, lambda one: one.value("brain_event_loop_lag_seconds_count") >= 5)
    name = "brain_event_loop_lag_seconds_bucket"
    in_time = found.value(name, le="0.1")
    assert in_time >= 0.6 * found.value(name, le="+Inf")


async def test_descriptors_and_bounds_of_the_process_are_there(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await serving(gateway, f'"{upstream.url}"')
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = await scrape(running)
    assert before.value("process_max_fds") == soft
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    found = await scrape(running)
    for descriptor in opened:
        os.close(descriptor)
    assert found.value("process_open_fds") - before.value("process_open_fds") >= 20
    most = min(4096, int(soft * 0.4))
    assert found.value("brain_client_connections_limit") == most
    assert found.value("brain_requests_in_flight_limit") == int(most * 0.9)
    assert not found.all("brain_tls_certificate_expiry_timestamp_seconds"), "no TLS, no end of it"


async def test_the_end_of_the_certificate_follows_a_reload(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    authority = trustme.CA()
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)

    def write(end: datetime) -> None:
        leaf = authority.issue_cert("gateway.test", not_after=end)
        leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
        leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")

    write(soon)
    running = await gateway(
        f"""
        version: 1
        gateway: {{tls: {{cert: {tmp_path}/cert.pem, key: {tmp_path}/key.pem}}}}
        plugins: [metrics]
        services:
          shop: {{upstream: "{upstream.url}", public: true}}
        """
    )
    name = "brain_tls_certificate_expiry_timestamp_seconds"
    assert (await scrape(running)).value(name) == soon.timestamp()
    later = soon + timedelta(days=90)
    write(later)
    assert await running.reload() is None
    assert (await scrape(running)).value(name) == later.timestamp()


async def test_the_status_names_targets_that_are_left_out(
    gateway: MakeGateway, upstream: RecordingUpstream, bad: RecordingUpstream, tmp_path: Path
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          shop:
            public: true
            upstream:
              targets: ["{upstream.url}", "{bad.url}"]
              outliers: {{failures: 1, eject_for: 1m}}
        """,
        control=True,
    )
    for _ in range(2):
        await running.get("/api/brain/shop/")
    reader, writer = await asyncio.open_unix_connection(running.host.config.gateway.control)
    writer.write(b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    raw = await reader.read()
    writer.close()
    (one,) = json.loads(raw.partition(b"\r\n\r\n")[2])["upstreams"]
    assert one["panicking"] is False
    assert one["troubles"] == [
        {
            "name": bad.url,
            "state": "ejected",
            "reason": "1 bad ends in a row, the last: answers 503",
        }
    ]
