"""`cache` as a plugin: its place, its options, what it says and counts."""

from __future__ import annotations

import pytest
from cache_kit import ALICE, Caching
from plugin_kit import Found, Kit, request_of

from plugins.cache import Cache
from proxy import EXCHANGE, Principal, Stage
from proxy.testing import check_plugin

# -- the plugin itself


def test_it_stands_behind_whoever_lets_callers_in(kit: Kit) -> None:
    assert kit.make(Cache).stage is Stage.TRANSFORM


def test_an_answer_that_would_never_fit_is_an_error(kit: Kit) -> None:
    found = Found()
    kit.make(Cache, {"max_size": "1KiB", "max_entry": "2KiB"}).check(found)
    assert list(found.errors) == ["max_entry"]


@pytest.mark.parametrize(
    ("method", "principal", "sent", "lines"),
    [
        ("GET", None, {}, ["from memory", "callers without credentials"]),
        ("GET", None, {"Cookie": "a=1"}, ["from memory", "nobody"]),
        ("GET", None, {"Range": "bytes=0-"}, ["lets it pass: range"]),
        ("HEAD", ALICE, {}, ["from memory", "this caller"]),
        ("POST", ALICE, {}, ["drops what is stored"]),
        ("OPTIONS", None, {}, ["lets it pass"]),
    ],
)
def test_it_says_what_it_would_do(
    kit: Kit, method: str, principal: Principal | None, sent: dict[str, str], lines: list[str]
) -> None:
    exchange = request_of(method, sent_on=sent)[EXCHANGE]
    exchange.principal = principal
    said = kit.make(Cache).explain(exchange)
    assert len(said) == len(lines)
    for line, part in zip(said, lines, strict=True):
        assert part in line


async def test_counts_are_kept_by_name_and_the_store_goes_with_its_last_user(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    for _ in range(3):
        await caching.ask()
    text = kit.registry.expose()[0].decode()
    for line in (
        'brain_cache_requests_total{cache="some-identity",result="hit"} 2.0',
        'brain_cache_requests_total{cache="some-identity",result="miss"} 1.0',
        'brain_cache_entries{cache="some-identity"} 1.0',
        'brain_cache_evicted_total{cache="some-identity"} 0.0',
    ):
        assert line in text
    assert f'brain_cache_bytes{{cache="some-identity"}} {caching.plugin._parts.store.used}' in text
    newer = await kit.run(Cache)
    await caching.plugin.close()
    assert newer._parts.store is caching.plugin._parts.store
    await newer.close()
    assert "brain_cache" not in kit.registry.expose()[0].decode()
    caching.plugin._stores = newer._stores = None


async def test_closing_works_before_setup(kit: Kit) -> None:
    await kit.make(Cache).close()


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(Cache, {"default_ttl": "1m"})
