"""The plugin `rate-limit`: keys, plans, headers, refusals, and what outlives a reload."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from plugins.rate_limit import RateLimit
from plugins.rate_limit.keys import network_of
from proxy import Stage
from proxy.plugin.principal import Principal
from proxy.runtime.shared import Shared
from proxy.testing import UNREACHED, Called, OptionsError, call, check_plugin, make, running
from proxy.testing.messages import TestRoute

Options = dict[str, Any]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def limiting(
    *, shared: Shared | None = None, **options: Any
) -> AsyncIterator[tuple[RateLimit, Clock]]:
    clock = Clock()
    async with running(RateLimit, options, shared=shared) as plugin:
        plugin._now = clock
        yield plugin, clock


def told(called: Called) -> tuple[int, str | None, str | None]:
    answer = called.answer
    return answer.status, answer.header("RateLimit-Policy"), answer.header("RateLimit")


async def status(plugin: RateLimit, **how: Any) -> int:
    return (await call(plugin, **how)).answer.status


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(RateLimit, {"limits": "1000/s", "key": "address"})


async def test_every_answer_tells_what_is_left() -> None:
    async with limiting(limits="3/min", key="address") as (plugin, clock):
        assert told(await call(plugin)) == (200, '"3/m";q=3;w=60', '"3/m";r=2;t=20')
        assert told(await call(plugin, answer=404)) == (404, '"3/m";q=3;w=60', '"3/m";r=1;t=40')
        failed = await call(plugin, answer=ZeroDivisionError("a bug"))
        assert told(failed) == (500, '"3/m";q=3;w=60', '"3/m";r=0;t=60')
        clock.now += 25
        assert told(await call(plugin, answer=101))[0] == 101


async def test_what_is_above_the_limit_is_refused_with_the_time_to_wait() -> None:
    async with limiting(limits="2/min", key="address") as (plugin, clock):
        for _ in range(2):
            assert await status(plugin) == 200
        refused = await call(plugin, answer=UNREACHED)
        assert told(refused) == (429, '"2/m";q=2;w=60', '"2/m";r=0;t=60')
        assert refused.answer.header("Retry-After") == "30"
        problem = json.loads(refused.body)
        assert (problem["code"], problem["retryable"]) == ("rate_limited", True)
        error = refused.answer.error
        assert error is not None
        assert (error.stage, error.log) == ("limit", "'RateLimit' admits 2/m, counted by address")
        clock.now += 29.5
        assert (await call(plugin, answer=UNREACHED)).answer.header("Retry-After") == "1"
        clock.now += 0.6
        assert await status(plugin) == 200


async def test_several_windows_are_told_together_and_all_must_admit() -> None:
    async with limiting(limits=["2/s", {"rate": "3/h", "name": "hourly"}], key="address") as (
        plugin,
        clock,
    ):
        first = await call(plugin)
        assert told(first) == (
            200,
            '"2/s";q=2;w=1, "hourly";q=3;w=3600',
            '"2/s";r=1;t=1, "hourly";r=2;t=1200',
        )
        assert await status(plugin) == 200
        assert (await call(plugin)).answer.header("Retry-After") == "1"
        clock.now += 1
        assert await status(plugin) == 200
        clock.now += 1
        assert int((await call(plugin)).answer.header("Retry-After") or 0) > 1000


# -- keys


@pytest.mark.parametrize(
    ("key", "stage"),
    [
        ("address", Stage.GUARD),
        ("route", Stage.GUARD),
        ("${request.header.X-Device}", Stage.GUARD),
        ("principal", Stage.AUTHORIZE),
        ("api-key", Stage.AUTHORIZE),
        ("tenant", Stage.AUTHORIZE),
        ("${service} ${claims.org}", Stage.AUTHORIZE),
        ("${principal.tenant}", Stage.AUTHORIZE),
    ],
)
def test_what_is_known_of_a_caller_only_behind_authentication_is_counted_there(
    key: str, stage: Stage
) -> None:
    assert make(RateLimit, {"limits": "1/s", "key": key}).stage is stage


def test_plans_stand_behind_authentication_whatever_the_key() -> None:
    plans = {"claim": "plan", "default": "free", "limits": {"free": "1/s"}}
    assert make(RateLimit, {"plans": plans, "key": "address"}).stage is Stage.AUTHORIZE


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("198.51.100.1", "::ffff:198.51.100.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::2"),
    ],
)
async def test_addresses_of_one_owner_are_one_key(one: str, same: str) -> None:
    async with limiting(limits="1/min", key="address") as (plugin, _):
        assert await status(plugin, client=one) == 200
        assert await status(plugin, client=same) == 429
        assert await status(plugin, client="2001:db8:1:3::1") == 200
        assert await status(plugin, client="198.51.100.2") == 200


def test_how_much_of_an_ipv6_address_is_one_owner_is_an_option() -> None:
    assert network_of("2001:db8:1:2:3::4", 48) == "2001:db8:1::"
    assert network_of("2001:db8::4", 128) == "2001:db8::4"
    assert network_of("fe80::1%eth0", 64) == "fe80::"
    assert network_of("no address", 64) == "no address"


async def test_callers_are_told_apart_by_who_proved_them() -> None:
    async with limiting(limits="1/min", key="principal") as (plugin, _):
        assert await status(plugin, claims={"sub": "a"}) == 200
        assert await status(plugin, claims={"sub": "b"}) == 200
        assert await status(plugin, claims={"sub": "a"}, client="198.51.100.9") == 429


async def test_no_subject_spells_a_caller_of_another_authenticator() -> None:
    async with limiting(limits="1/min", key="principal") as (plugin, _):
        keys = {
            plugin._key_of(None, _exchange(Principal(subject, by=by)))  # type: ignore[arg-type]
            for by, subject in (("jwt", "a"), ("api-key", "a"), ("jwt", "api-key a"), ("j", "wt a"))
        }
    assert len(keys) == 4


async def test_callers_of_two_issuers_with_one_name_are_two() -> None:
    async with limiting(limits="1/min", key="principal") as (plugin, _):
        assert await status(plugin, claims={"sub": "a", "iss": "https://one"}) == 200
        assert await status(plugin, claims={"sub": "a", "iss": "https://two"}) == 200
        assert await status(plugin, claims={"sub": "a", "iss": "https://one"}) == 429
        assert await status(plugin, claims={"sub": "https://one a"}) == 200


def _exchange(principal: Principal) -> Any:
    class Exchange:
        pass

    made = Exchange()
    made.principal = principal  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("key", ["principal", "tenant", "api-key"])
async def test_where_nobody_has_to_say_who_he_is_addresses_are_counted(key: str) -> None:
    async with limiting(limits="1/min", key=key) as (plugin, _):
        assert await status(plugin) == 200
        assert await status(plugin) == 429
        assert await status(plugin, client="198.51.100.9") == 200
        claims = {"sub": "a", "tenant": "t"}
        assert await status(plugin, claims=claims) == 200


async def test_a_tenant_is_one_key_and_who_has_none_is_refused() -> None:
    async with limiting(limits="1/min", key="tenant") as (plugin, _):
        assert await status(plugin, claims={"sub": "a", "tenant": "acme"}) == 200
        assert await status(plugin, claims={"sub": "b", "tenant": "acme"}) == 429
        assert await status(plugin, claims={"sub": "b", "tenant": "other"}) == 200
        lost = await call(plugin, claims={"sub": "c"}, answer=UNREACHED)
        assert json.loads(lost.body)["code"] == "claim_missing"


async def test_a_route_is_one_key_for_all_its_callers() -> None:
    async with limiting(limits="1/min", key="route") as (plugin, _):
        assert await status(plugin, route=TestRoute("a")) == 200
        assert await status(plugin, route=TestRoute("b")) == 200
        assert await status(plugin, route=TestRoute("a"), client="198.51.100.9") == 429


async def test_values_of_a_template_spell_no_other_pair() -> None:
    key = "${request.header.X-A}-${request.header.X-B}"
    async with limiting(limits="1/min", key=key) as (plugin, _):
        assert await status(plugin, headers={"X-A": "1-2", "X-B": "3"}) == 200
        assert await status(plugin, headers={"X-A": "1", "X-B": "2-3"}) == 200
        assert await status(plugin, headers={"X-A": "1", "X-B": "2-3"}) == 429
        missing = await call(plugin, headers={"X-A": "1"}, answer=UNREACHED)
        assert json.loads(missing.body)["code"] == "value_missing"


async def test_a_claim_that_a_template_needs_is_asked_for() -> None:
    async with limiting(limits="1/min", key="${claims.org}") as (plugin, _):
        assert await status(plugin, claims={"org": "acme"}) == 200
        assert await status(plugin, claims={"org": "acme", "sub": "b"}) == 429
        missing = await call(plugin, claims={"sub": "a"}, answer=UNREACHED)
        assert json.loads(missing.body)["code"] == "claim_missing"


# -- plans

PLANS: Options = {
    "claim": "org.plan",
    "default": "free",
    "limits": {"free": "2/min", "pro": ["100/min", {"rate": "5/s", "burst": 3}]},
}


async def test_the_plan_of_a_caller_is_a_claim() -> None:
    async with limiting(plans=PLANS, key="principal") as (plugin, _):
        free = await call(plugin, claims={"sub": "a", "org": {"plan": "free"}})
        assert told(free)[1:] == ('"free 2/m";q=2;w=60', '"free 2/m";r=1;t=30')
        pro = await call(plugin, claims={"sub": "b", "org": {"plan": "pro"}})
        assert told(pro)[1] == '"pro 100/m";q=100;w=60, "pro 5/s";q=3;w=1'


@pytest.mark.parametrize(
    "claims", [{}, {"org": {"plan": "gold"}}, {"org": {"plan": 1}}, {"org": 1}]
)
async def test_who_has_no_known_plan_has_the_declared_one(claims: dict[str, Any]) -> None:
    async with limiting(plans=PLANS, key="principal") as (plugin, _):
        assert told(await call(plugin, claims=claims))[1] == '"free 2/m";q=2;w=60'
    async with limiting(plans={**PLANS, "default": "refuse"}, key="principal") as (plugin, _):
        refused = await call(plugin, claims=claims, answer=UNREACHED)
        assert json.loads(refused.body)["code"] == "claim_missing"


async def test_a_claim_with_dots_in_its_name_is_found_by_it() -> None:
    plans = {**PLANS, "claim": "https://example.com/plan"}
    async with limiting(plans=plans, key="principal") as (plugin, _):
        called = await call(plugin, claims={"https://example.com/plan": "pro"})
        assert (told(called)[1] or "").startswith('"pro')


async def test_limits_hold_beside_plans_and_are_counted_for_all_plans_together() -> None:
    async with limiting(limits="3/h", plans=PLANS, key="address") as (plugin, _):
        for claims in ({"org": {"plan": "free"}}, {"org": {"plan": "pro"}}, {}):
            assert await status(plugin, claims=claims) == 200
        refused = await call(plugin, claims={"org": {"plan": "pro"}}, answer=UNREACHED)
        assert (told(refused)[2] or "").startswith('"3/h";r=0')


# -- lifetime


async def test_the_state_outlives_a_reload_that_leaves_the_limit_alone() -> None:
    shared = Shared()
    options = {"limits": "2/min", "key": "address"}
    async with limiting(shared=shared, **options) as (old, _):
        assert await status(old) == 200
        async with limiting(shared=shared, **options) as (new, _):
            assert await status(new) == 200
            assert await status(new) == 429
            assert await status(old) == 429
            async with limiting(shared=shared, **{**options, "limits": "3/min"}) as (other, _):
                assert await status(other) == 200
    async with limiting(shared=shared, **options) as (later, _):
        assert await status(later) == 200
    await shared.close()


async def test_decisions_are_counted_by_policy_and_never_by_key() -> None:
    shared = Shared()
    async with limiting(limits="1/min", key="address", shared=shared) as (plugin, _):
        for address in ("198.51.100.1", "198.51.100.1", "198.51.100.2"):
            await call(plugin, client=address)
        text = shared.metrics.expose()[0].decode()
    name = "brain_rate_limit_decisions_total"
    assert f'{name}{{outcome="admitted",policy="RateLimit"}} 2.0' in text
    assert f'{name}{{outcome="refused",policy="RateLimit"}} 1.0' in text
    assert 'brain_rate_limit_keys{policy="RateLimit"} 2.0' in text
    assert 'brain_rate_limit_evicted_total{policy="RateLimit"} 0.0' in text
    assert "198.51.100" not in text
    await shared.close()


async def test_what_it_would_do_is_explained_without_a_setup() -> None:
    options: Options = {"limits": "1/s", "plans": PLANS, "key": "principal"}
    plugin = make(RateLimit, options)
    exchange = (await call(RateLimit, options={"limits": "1/s", "key": "address"})).exchange
    assert plugin.explain(exchange) == [
        "counts by principal, in this process",
        "plan free: admits 1/s and free 2/m",
        "plan pro: admits 1/s and pro 100/m and pro 5/s",
    ]
    shared = make(RateLimit, {**options, "store": {"valkey": "redis://store"}})
    assert shared.explain(exchange)[0] == "counts by principal, in the store that all share"


def test_what_each_worker_keeps_is_told_where_no_store_is_named() -> None:
    options: Options = {"limits": "1/s", "key": "address"}
    assert make(RateLimit, options).per_worker == "counts of callers"
    shared = {**options, "store": {"valkey": "redis://store"}}
    assert make(RateLimit, shared).per_worker is None


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"key": "address"}, "key"),
        ({"key": "address", "limits": ["1/s", "1/sec"]}, "limits"),
        ({"key": "address", "plans": {**PLANS, "default": "gold"}}, "plans.default"),
        ({"key": "address", "limits": "1/s", "local_share": "0%"}, "local_share"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: Options, wrong: str) -> None:
    with pytest.raises(OptionsError) as caught:
        make(RateLimit, options)
    assert set(caught.value.problems) == {wrong}
