"""How long `cache` serves an answer, and what clients and errors have to say in it."""

from __future__ import annotations

import pytest
from aiohttp import web
from cache_kit import START, Caching, body_of, status_of
from plugin_kit import Kit, request_of

from plugins.cache.dates import format_date
from proxy import Answer, GatewayError

# -- freshness


async def test_a_fresh_answer_is_served_again_with_its_age(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", "X-Own: 1", "Vary: Accept")
    first = await caching.ask()
    assert status_of(first) == "fwd=uri-miss; stored; ttl=60"
    assert first.header("Age") is None
    caching.time.passes(7.9)
    again = await caching.ask()
    assert (again.status, again.reason, body_of(again)) == (200, "Some Reason", b"hello")
    assert (again.header("Age"), status_of(again)) == ("7", "hit; ttl=53")
    assert again.header("Date") == format_date(START).decode()
    assert (again.header("X-Own"), again.header("Content-Length")) == ("1", "5")
    assert caching.upstream.asked == 1


async def test_a_stale_answer_is_not_served(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    await caching.ask()
    caching.time.passes(59.9)
    assert status_of(await caching.ask()).startswith("hit")
    caching.time.passes(0.1)
    assert status_of(await caching.ask()) == "fwd=stale; stored; ttl=60"
    assert caching.upstream.asked == 2


async def test_the_age_that_an_answer_comes_with_counts(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", "Age: 50")
    await caching.ask()
    caching.time.passes(5)
    again = await caching.ask()
    assert (again.header("Age"), status_of(again)) == ("55", "hit; ttl=5")
    caching.time.passes(5)
    assert status_of(await caching.ask()).startswith("fwd=stale")


async def test_the_time_that_an_answer_takes_counts(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")

    async def slow(request: web.BaseRequest) -> Answer:
        answer = caching.upstream.answer()
        caching.time.passes(30)
        return answer

    await caching.plugin(request_of(), slow)
    assert (await caching.ask()).header("Age") == "30"


async def test_an_answer_without_a_date_gets_one(kit: Kit) -> None:
    caching = await Caching.begin(kit)

    async def undated(request: web.BaseRequest) -> Answer:
        return Answer.from_upstream(
            200, "OK", [(b"Cache-Control", b"max-age=9")], b"", framed=False
        )

    await caching.plugin(request_of(), undated)
    caching.time.passes(3)
    again = await caching.ask()
    assert (again.header("Date"), again.header("Age")) == (format_date(START).decode(), "3")
    assert again.header("Content-Length") == "0"


@pytest.mark.parametrize(
    ("ttl", "fields", "hits"),
    [
        ("0s", [], False),
        ("0s", ["Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], False),
        ("30s", [], True),
        ("30s", ["Cache-Control: max-age=0"], False),
        ("30s", ["Cache-Control: no-cache"], False),
        ("30s", ["Expires: 0"], False),
    ],
)
async def test_an_answer_that_says_nothing_is_fresh_only_by_the_option(
    kit: Kit, ttl: str, fields: list[str], hits: bool
) -> None:
    caching = await Caching.begin(kit, *fields, default_ttl=ttl)
    await caching.ask()
    assert status_of(await caching.ask()).startswith("hit") is hits
    caching.time.passes(30)
    assert not status_of(await caching.ask()).startswith("hit")


# -- what the client says


@pytest.mark.parametrize(
    ("control", "result"),
    [
        ("no-cache", "fwd=request"),
        ("max-age=0", "fwd=request"),
        ("max-age=9", "fwd=request"),
        ("max-age=10", "hit"),
        ("min-fresh=50", "hit"),
        ("min-fresh=51", "fwd=request"),
        ("max-stale", "hit"),
        ("only-if-cached", "hit"),
        ("no-store", "hit"),
    ],
)
async def test_a_client_may_ask_for_something_newer(kit: Kit, control: str, result: str) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    await caching.ask()
    caching.time.passes(10)
    answer = await caching.ask(sent_on={"Cache-Control": control})
    assert status_of(answer).partition(";")[0] == result


async def test_only_if_cached_is_504_where_nothing_is(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    with pytest.raises(GatewayError) as raised:
        await caching.ask(sent_on={"Cache-Control": "only-if-cached"})
    assert (raised.value.status, raised.value.code) == (504, "not_cached")
    assert caching.upstream.asked == 0


async def test_what_a_client_wants_nobody_to_store_is_not_stored(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    await caching.ask(sent_on={"Cache-Control": "no-store"})
    assert status_of(await caching.ask()).startswith("fwd=uri-miss")


# -- errors


async def test_a_stale_answer_stands_in_for_an_error_for_so_long(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=1", stale_if_error="60s")
    await caching.ask()
    caching.upstream.status = 503
    caching.time.passes(60)
    answer = await caching.ask()
    assert (answer.status, body_of(answer)) == (200, b"hello")
    assert status_of(answer) == "fwd=stale; fwd-status=503; detail=stale-if-error; ttl=-59"
    strict = await caching.ask(sent_on={"Cache-Control": "no-cache"})
    assert strict.status == 503
    caching.time.passes(1)
    assert (await caching.ask()).status == 503


@pytest.mark.parametrize("status", [400, 404, 429, 501, 505])
async def test_no_other_error_is_hidden(kit: Kit, status: int) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=1, stale-if-error=60")
    await caching.ask()
    caching.time.passes(1)
    caching.upstream.status = status
    assert (await caching.ask()).status == status


async def test_an_error_of_the_gateway_is_no_answer_to_store(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", default_ttl="60s")

    async def refusing(request: web.BaseRequest) -> Answer:
        error = GatewayError("no_route")
        answer = Answer.problem(error, request_id="", service=None)
        answer.headers["Cache-Control"] = "max-age=60"
        return answer

    assert (await caching.plugin(request_of(), refusing)).status == 404
    assert status_of(await caching.ask()) == "fwd=uri-miss; stored; ttl=60"
