"""rate-limit on a real gateway, counting in its own process."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply
from tests.functional.test_rare_errors import check

PATH = "/api/brain/echo/"
KEYS = {name: f"{name}-0123456789abcdef" for name in ("ci", "portal")}


def limited(url: str, limit: str, more: str = "", outer: str = "") -> str:
    return f"""
version: 1
{outer}
services:
  echo:
    upstream: "{url}"
    public: true
    plugins: [{{rate-limit: {limit}}}{more}]
"""


async def statuses(running: Gateway, count: int, *headers: str) -> list[int]:
    return [(await running.get(PATH, *headers)).status for _ in range(count)]


async def test_a_request_above_the_limit_is_429_with_the_time_to_wait(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(limited(upstream.url, "{limits: 2/min, key: address}"))
    reply = await running.get(PATH)
    assert (reply.status, reply.all("RateLimit-Policy")) == (200, ['"2/m";q=2;w=60'])
    assert reply.all("RateLimit") == ['"2/m";r=1;t=30']
    assert await statuses(running, 1) == [200]
    refused = await running.get(PATH)
    check(refused, "rate_limited")
    assert refused.header("Retry-After") == "30"
    assert (refused.header("RateLimit") or "").startswith('"2/m";r=0;t=')
    assert len(upstream.seen) == 2


@pytest.mark.parametrize(
    "forged", ["X-Forwarded-For: 198.51.100.{}", "Forwarded: for=198.51.100.{}", "X-Real-IP: {}"]
)
async def test_a_forged_address_moves_no_caller_to_another_key(
    gateway: MakeGateway, upstream: RecordingUpstream, forged: str
) -> None:
    running = await gateway(limited(upstream.url, "{limits: 2/min, key: address}"))
    got = [(await running.get(PATH, forged.format(number))).status for number in range(5)]
    assert got == [200, 200, 429, 429, 429]


async def test_behind_a_trusted_proxy_its_word_for_the_address_counts(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    trusting = "gateway: {trusted_proxies: [127.0.0.1]}"
    limit = "{limits: 1/min, key: address}"
    running = await gateway(limited(upstream.url, limit, outer=trusting))
    assert await statuses(running, 2, "X-Forwarded-For: 198.51.100.1") == [200, 429]
    assert await statuses(running, 2, "X-Forwarded-For: 198.51.100.2") == [200, 429]
    # What a client puts before the address that the proxy adds is nobody's word.
    forged = "X-Forwarded-For: 203.0.113.9, 198.51.100.2"
    assert await statuses(running, 1, forged) == [429]


async def test_the_refusal_carries_the_headers_of_cors_and_a_request_id(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    outer = 'plugins: [request-id, {cors: {origins: ["https://app.test"]}}]'
    text = limited(upstream.url, "{limits: 1/min, key: address}", outer=outer)
    running = await gateway(text)
    replies = [await running.get(PATH, "Origin: https://app.test") for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    for reply in replies:
        assert reply.header("Access-Control-Allow-Origin") == "https://app.test"
        exposed = reply.header("Access-Control-Expose-Headers") or ""
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= {*exposed.split(",")}
        assert reply.header("X-Request-Id")


def callers(url: str, limit: str) -> str:
    listed = ", ".join(
        f"{{name: {name}, tenant: acme, sha256: {hashlib.sha256(key.encode()).hexdigest()}}}"
        for name, key in KEYS.items()
    )
    return f"""
version: 1
plugins:
  - {{rate-limit: {limit}}}
  - {{api-key: {{keys: [{listed}]}}}}
services:
  echo: {{upstream: "{url}"}}
  open: {{upstream: "{url}", public: true}}
  maybe: {{upstream: "{url}", public: optional}}
"""


async def test_callers_are_counted_behind_authentication_each_by_himself(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(callers(upstream.url, "{limits: 2/min, key: api-key}"))
    ci, portal = (f"X-Api-Key: {key}" for key in KEYS.values())
    assert await statuses(running, 3, ci) == [200, 200, 429]
    assert await statuses(running, 1, portal) == [200]
    # Who is nobody takes nothing from anybody.
    assert await statuses(running, 5, "X-Api-Key: wrong") == [401] * 5
    assert await statuses(running, 2, portal) == [200, 429]


async def test_where_nobody_needs_to_say_who_he_is_addresses_are_counted(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(callers(upstream.url, "{limits: 2/min, key: principal}"))
    got = [(await running.get(f"/api/brain/{name}/")).status for name in ("open", "maybe", "open")]
    assert got == [200, 200, 429]
    known = f"X-Api-Key: {KEYS['ci']}"
    assert (await running.get("/api/brain/maybe/", known)).status == 200


async def test_tenants_are_counted_over_all_their_callers(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(callers(upstream.url, "{limits: 2/min, key: tenant}"))
    got = [await statuses(running, 1, f"X-Api-Key: {key}") for key in (*KEYS.values(),) * 2]
    assert got == [[200], [200], [429], [429]]


async def test_two_limits_of_one_route_both_tell_theirs(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    more = ", {rate-limit: {limits: 5/s, key: route}, as: all}"
    running = await gateway(limited(upstream.url, "{limits: 2/min, key: address}", more))
    reply = await running.get(PATH)
    assert sorted(reply.all("RateLimit-Policy")) == ['"2/m";q=2;w=60', '"5/s";q=5;w=1']
    assert len(reply.all("RateLimit")) == 2


async def test_services_with_the_same_limit_count_by_themselves(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    limit = "[{rate-limit: {limits: 1/min, key: address}}]"
    running = await gateway(
        f"""
version: 1
services:
  one: {{upstream: "{upstream.url}", public: true, plugins: {limit}}}
  two: {{upstream: "{upstream.url}", public: true, plugins: {limit}}}
"""
    )
    got = [(await running.get(f"/api/brain/{name}/")).status for name in ("one", "two", "one")]
    assert got == [200, 200, 429]


async def test_a_reload_forgives_nobody_and_a_new_limit_begins_anew(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    text = limited(upstream.url, "{limits: 2/min, key: address}")
    running = await gateway(text)
    assert await statuses(running, 3) == [200, 200, 429]
    running.path.write_text(text + "x-note: nothing that matters\n")
    assert await running.reload() is None
    assert await statuses(running, 1) == [429]
    running.path.write_text(text.replace("2/min", "3/min"))
    assert await running.reload() is None
    assert await statuses(running, 4) == [200, 200, 200, 429]


async def test_metrics_tell_decisions_by_policy_and_nobodys_key(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    outer = "plugins: [metrics]"
    running = await gateway(limited(upstream.url, "{limits: 1/min, key: address}", outer=outer))
    await statuses(running, 3)
    text = (await running.admin("/metrics")).body.decode()
    decisions = 'brain_rate_limit_decisions_total{outcome="%s",policy="rate-limit"} %s'
    assert decisions % ("admitted", "1.0") in text
    assert decisions % ("refused", "2.0") in text
    assert 'brain_rate_limit_keys{policy="rate-limit"} 1.0' in text
    assert not any("rate_limit" in line and "127.0.0.1" in line for line in text.splitlines())


async def test_a_value_that_a_template_lacks_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    limit = '{limits: 1/min, key: "${request.header.X-Device}"}'
    running = await gateway(limited(upstream.url, limit))
    missing: Reply = await running.get(PATH)
    assert (missing.status, json.loads(missing.body)["code"]) == (400, "value_missing")
    assert await statuses(running, 2, "X-Device: a") == [200, 429]
    assert await statuses(running, 1, "X-Device: b") == [200]
