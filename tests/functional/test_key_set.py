"""KeySet by itself: when it asks an issuer, for whom, and how long it believes what it has heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy import KeySet, Unavailable
from proxy.plugin.http import HttpClient
from proxy.plugin.jwks import FLOOR, FRESH, FRESH_LEAST, STALE, _fresh_for
from tests.functional import keykit
from tests.functional.keykit import KeyServer, ok, rsa, said

ONE, TWO = rsa("one"), rsa("two")


class Clock:
    """A time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(http: HttpClient, issuer: KeyServer, clock: Clock) -> KeySet:
    return KeySet(http, issuer.jwks_uri, now=clock)


async def test_who_leaves_ends_no_fetch_that_others_wait_for(
    keys: KeySet, issuer: KeyServer
) -> None:
    issuer.answers["jwks"] = keykit.slowly(ok(keykit.jwks([ONE])), 0.2)
    leaver, waiter = asyncio.ensure_future(keys.fetch()), asyncio.ensure_future(keys.fetch())
    await asyncio.sleep(0.05)
    leaver.cancel()
    await waiter
    assert leaver.cancelled()
    assert issuer.fetches == 1
    assert keys.find("one", "RS256") is not None


async def test_a_fetch_that_failed_counts_as_one(
    keys: KeySet, issuer: KeyServer, clock: Clock
) -> None:
    await keys.fetch()
    issuer.answers["jwks"] = said("500 Internal Server Error")
    clock.now += FLOOR
    for _ in range(5):
        assert not await keys.learn()
    assert issuer.fetches == 2
    clock.now += FLOOR - 0.1
    assert not await keys.learn()
    assert issuer.fetches == 2
    issuer.answers["jwks"] = ok(keykit.jwks([ONE, TWO]))
    clock.now += 0.1
    assert await keys.learn()
    assert issuer.fetches == 3


async def test_keys_are_believed_for_an_hour_behind_the_last_success(
    keys: KeySet, issuer: KeyServer, clock: Clock
) -> None:
    await keys.fetch()
    version = keys.version
    await issuer.stop()
    clock.now += STALE
    await keys.fetch()
    assert keys.find("one", "RS256") is not None
    assert keys.trouble() is None
    assert keys.version == version, "what they have verified is good as long as they are"
    clock.now += 1
    await keys.fetch()
    assert keys.version > version
    with pytest.raises(Unavailable, match="can't be fetched") as away:
        keys.find("one", "RS256")
    assert away.value.code == "keys_unavailable"
    assert keys.trouble() is not None


async def test_equal_keys_change_nothing(keys: KeySet, issuer: KeyServer) -> None:
    await keys.fetch()
    version = keys.version
    await keys.fetch()
    assert keys.version == version
    issuer.keys = [ONE, TWO]
    await keys.fetch()
    issuer.keys = [TWO]
    await keys.fetch()
    assert keys.version == version + 2
    assert keys.find("one", "RS256") is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", FRESH),
        ("no-cache", FRESH),
        ("max-age=0", FRESH_LEAST),
        ("public, max-age=120, must-revalidate", 120.0),
        ("Max-Age=120", 120.0),
        ("s-maxage=1", FRESH),
        ("max-age=86400", FRESH),
        ("max-age=-1", FRESH),
        ("max-age=x", FRESH),
        ("max-age=" + "9" * 5000, FRESH),
    ],
)
def test_an_issuer_may_want_to_be_asked_sooner_within_bounds(said: str, seconds: float) -> None:
    assert _fresh_for(said) == seconds


async def test_keys_are_renewed_as_soon_as_the_issuer_says(
    keys: KeySet, issuer: KeyServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks.FRESH_LEAST", 0.05)
    short = said("200 OK", keykit.jwks([ONE]), "Cache-Control: max-age=0")
    issuer.answers["jwks"] = short
    await keys.fetch()
    clock.now += 1
    renewing = asyncio.ensure_future(keys.keep())
    async with asyncio.timeout(5):
        while issuer.fetches < 2:
            await asyncio.sleep(0.01)
    renewing.cancel()


async def test_ten_that_keep_one_set_fetch_as_one(
    http: HttpClient, issuer: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks.FRESH", 0.5)
    monkeypatch.setattr("proxy.plugin.jwks._RETRY_FIRST", 0.01)
    keys = KeySet(http, issuer.jwks_uri)
    await keys.fetch()
    renewing = [asyncio.ensure_future(keys.keep()) for _ in range(10)]
    await asyncio.sleep(1.6)
    for task in renewing:
        task.cancel()
    assert 3 <= issuer.fetches <= 5
