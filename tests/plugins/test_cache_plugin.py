"""`cache` as a plugin: what it serves, what it asks again, and what it never keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from cache_kit import START, Caching, body_of, status_of
from plugin_kit import Found, Kit, Route, request_of

from plugins.cache import Cache
from plugins.cache.dates import format_date
from proxy import EXCHANGE, Answer, GatewayError, Principal, Stage

ALICE = Principal("alice", tenant="acme", by="api-key")
BOB = Principal("bob", tenant="acme", by="api-key")


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


# -- what is never kept


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Cache-Control: no-store"], 200),
        (["Cache-Control: private, max-age=60"], 200),
        (["Cache-Control: max-age=60", "Set-Cookie: session=1"], 200),
        (["Cache-Control: public, max-age=60", "Set-Cookie: session=1"], 200),
        (["Cache-Control: max-age=60", "Vary: *"], 200),
        (["Cache-Control: max-age=60", "Vary: Accept, X-Forwarded-For"], 200),
        (["Cache-Control: max-age=60", "Content-Type: text/event-stream"], 200),
        (["Cache-Control: max-age=60", "Content-Range: bytes 0-4/9"], 206),
        (['ETag: "a"', "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], 200),
        (["Cache-Control: max-age=60"], 500),
        (["Cache-Control: max-age=60"], 503),
        ([], 200),
        (["Cache-Control: max-age=0"], 200),
    ],
)
async def test_such_an_answer_is_not_stored(kit: Kit, fields: list[str], status: int) -> None:
    caching = await Caching.begin(kit, *fields)
    caching.upstream.status = status
    for _ in range(2):
        answer = await caching.ask()
        assert (answer.status, status_of(answer)) == (status, "fwd=uri-miss")
    assert caching.upstream.asked == 2


@pytest.mark.parametrize("status", [200, 204, 301, 404, 410])
async def test_answers_of_other_statuses_are_stored_too(kit: Kit, status: int) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", "Location: /y")
    caching.upstream.status = status
    await caching.ask()
    again = await caching.ask()
    assert (again.status, status_of(again)) == (status, "hit; ttl=60")
    assert again.header("Content-Length") == (None if status == 204 else "5")


@pytest.mark.parametrize(
    "sent",
    [
        {"Range": "bytes=0-1"},
        {"If-Match": '"a"'},
        {"If-Unmodified-Since": format_date(START).decode()},
        {"Upgrade": "websocket"},
    ],
)
async def test_such_a_request_passes_by(kit: Kit, sent: dict[str, str]) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    await caching.ask()
    answer = await caching.ask(sent_on=sent)
    assert status_of(answer) == ""
    assert caching.upstream.asked == 2
    assert status_of(await caching.ask()).startswith("hit")


async def test_a_request_whose_method_was_changed_further_out_passes_by(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    request = request_of("HEAD")
    request[EXCHANGE].outgoing.method = "GET"
    await caching.plugin(request, caching.upstream)
    assert status_of(await caching.ask()).startswith("fwd=uri-miss")


# -- for whom


async def test_callers_are_kept_apart(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    others = [
        ALICE,
        BOB,
        Principal("alice", tenant="other", by="api-key"),
        Principal("alice", tenant=None, by="api-key"),
        Principal("alice", tenant="acme", by="jwt"),
        None,
    ]
    for principal in others:
        caching.upstream.body = repr(principal).encode()
        assert status_of(await caching.ask(principal=principal)).startswith("fwd=uri-miss")
    for principal in others:
        again = await caching.ask(principal=principal)
        assert (status_of(again), body_of(again)) == ("hit; ttl=60", repr(principal).encode())


@pytest.mark.parametrize("control", ["public, max-age=60", "s-maxage=60"])
async def test_what_is_for_everyone_is_served_to_everyone(kit: Kit, control: str) -> None:
    caching = await Caching.begin(kit, f"Cache-Control: {control}")
    await caching.ask(principal=ALICE)
    for how in (
        {"principal": BOB},
        {},
        {"sent_on": {"Authorization": "Basic x"}},
        {"sent_on": {"Cookie": "session=1"}},
        {"sent_on": {"X-Api-Key": "1"}},
    ):
        assert status_of(await caching.ask(**how)) == "hit; ttl=60"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-Api-Key", "X-Own-Token"])
@pytest.mark.parametrize("control", ["max-age=60", "max-age=60, must-revalidate"])
async def test_a_credential_that_nobody_proved_gets_and_leaves_nothing(
    kit: Kit, name: str, control: str
) -> None:
    options = {"credentials": ["X-Api-Key", "X-Own-Token"]}
    caching = await Caching.begin(kit, f"Cache-Control: {control}", **options)
    sent = {name: "one"}
    for _ in range(2):
        assert status_of(await caching.ask(sent_on=sent)) == "fwd=uri-miss"
    assert status_of(await caching.ask()) == "fwd=uri-miss; stored; ttl=60"
    assert status_of(await caching.ask()) == "hit; ttl=60"
    assert status_of(await caching.ask(sent_on=sent)) == "fwd=uri-miss"


async def test_who_becomes_private_again_is_no_longer_for_everyone(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: public, max-age=1", 'ETag: "a"')
    await caching.ask(principal=ALICE)
    caching.time.passes(1)
    caching.upstream.status = 304
    caching.upstream.fields = ["Cache-Control: max-age=60", 'ETag: "a"']
    assert status_of(await caching.ask(principal=ALICE)) == "fwd=stale; fwd-status=304; ttl=60"
    caching.upstream.status = 200
    assert status_of(await caching.ask(principal=ALICE)) == "hit; ttl=60"
    assert status_of(await caching.ask(principal=BOB)).startswith("fwd=uri-miss")


async def test_doors_are_kept_apart(kit: Kit) -> None:
    """Answers name the door by which the client came: in links, in Location."""
    caching = await Caching.begin(kit, "Cache-Control: public, max-age=60")
    await caching.ask()
    other_route, other_server = Route(), Route()
    other_route.name = "crm/others"
    other_server.destination = "http://crm:9003"
    for route in (other_route, other_server):
        assert status_of(await caching.ask(route=route)).startswith("fwd=uri-miss")
    assert status_of(await caching.ask(target="/api/brain/crm/contacts?page=%32")).startswith("fwd")
    assert status_of(await caching.ask()).startswith("hit")


async def test_what_a_trusted_proxy_stripped_is_part_of_the_door(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    for trusted, results in ((True, ["fwd=uri-miss"] * 2), (False, ["fwd=uri-miss", "hit"])):
        for prefix, result in zip(("/one", "/two"), results, strict=True):
            request = request_of(headers={"X-Forwarded-Prefix": prefix}, trusted=trusted)
            answer = await caching.plugin(request, caching.upstream)
            assert status_of(answer).partition(";")[0] == result


async def test_a_cookie_that_the_upstream_does_not_see_makes_nobody_a_stranger(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    for result in ("fwd=uri-miss", "hit"):
        answer = await caching.ask(headers={"Cookie": "session=1"})
        assert status_of(answer).partition(";")[0] == result


# -- Vary


async def test_what_vary_names_must_match(kit: Kit) -> None:
    fields = ("Cache-Control: max-age=60", "Vary: accept-language, X-A", "Vary: Accept-Language")
    caching = await Caching.begin(kit, *fields)
    german = {"Accept-Language": "de", "X-Other": "1"}
    await caching.ask(sent_on=german)
    assert status_of(await caching.ask(sent_on={"accept-language": "de"})).startswith("hit")
    for other in ({"Accept-Language": "fr"}, {"Accept-Language": "de", "X-A": ""}, {}):
        assert status_of(await caching.ask(sent_on=other)) == "fwd=vary-miss; stored; ttl=60"
    assert status_of(await caching.ask(sent_on=german)).startswith("hit")


async def test_what_varies_by_a_field_that_is_set_further_in_is_not_stored(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", "Vary: X-Tenant")

    async def inner(request: web.BaseRequest) -> Answer:
        request[EXCHANGE].outgoing.add_header("X-Tenant", "acme")
        return await caching.upstream(request)

    for _ in range(2):
        answer = await caching.plugin(request_of(), inner)
        assert status_of(answer) == "fwd=uri-miss"


async def test_what_is_public_at_another_address_further_in_is_not_stored(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: public, max-age=60")

    async def inner(request: web.BaseRequest) -> Answer:
        request[EXCHANGE].outgoing.set_query("tenant", "acme")
        return await caching.upstream(request)

    for _ in range(2):
        assert status_of(await caching.plugin(request_of(), inner)) == "fwd=uri-miss"


# -- conditions


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"If-None-Match": '"a"'}, 304),
        ({"If-None-Match": 'W/"a"'}, 304),
        ({"If-None-Match": '"b", "c,d" , W/"a"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"b"'}, 200),
        ({"If-None-Match": '"b"', "If-Modified-Since": format_date(START).decode()}, 200),
        ({"If-Modified-Since": format_date(START - 100).decode()}, 304),
        ({"If-Modified-Since": format_date(START - 101).decode()}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ],
)
async def test_a_clients_condition_is_judged_by_what_is_stored(
    kit: Kit, sent: dict[str, str], status: int
) -> None:
    modified = f"Last-Modified: {format_date(START - 100).decode()}"
    fields = ("Cache-Control: max-age=60", 'ETag: "a"', modified, "Content-Type: text/a")
    caching = await Caching.begin(kit, *fields)
    await caching.ask()
    answer = await caching.ask(sent_on=sent)
    assert (answer.status, status_of(answer)) == (status, "hit; ttl=60")
    assert answer.header("ETag") == '"a"'
    if status == 304:
        assert body_of(answer) == b""
        assert answer.header("Content-Length") is None
        assert answer.header("Content-Type") is None
    assert caching.upstream.asked == 1


async def test_a_condition_on_something_unknown_is_the_upstreams_to_judge(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", 'ETag: "a"')
    caching.upstream.status = 304
    answer = await caching.ask(sent_on={"If-None-Match": '"a"'})
    assert (answer.status, status_of(answer)) == (304, "fwd=uri-miss")
    assert caching.upstream.seen[0]["If-None-Match"] == '"a"'
    caching.upstream.status = 200
    assert status_of(await caching.ask()).startswith("fwd=uri-miss")


async def test_a_redirect_has_no_condition_to_meet(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", 'ETag: "a"', "Location: /y")
    caching.upstream.status = 301
    await caching.ask()
    assert (await caching.ask(sent_on={"If-None-Match": "*"})).status == 301


# -- revalidation


async def test_a_stale_answer_is_asked_for_again_and_served_when_it_still_holds(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=1", 'ETag: "a"', "X-Old: 1")
    await caching.ask()
    caching.time.passes(5)
    caching.upstream.status = 304
    caching.upstream.fields = ["Cache-Control: max-age=30", 'ETag: "a"', "Set-Cookie: own=1"]
    again = await caching.ask(sent_on={"If-None-Match": '"mine"', "Accept": "*/*"})
    assert (again.status, body_of(again)) == (200, b"hello")
    assert status_of(again) == "fwd=stale; fwd-status=304; ttl=30"
    assert again.header("X-Old") == "1"
    assert again.header("Set-Cookie") == "own=1", "it is this client's"
    assert caching.upstream.seen[1] == {"If-None-Match": '"a"', "Accept": "*/*"}
    caching.time.passes(10)
    last = await caching.ask()
    assert (status_of(last), last.header("Age")) == ("hit; ttl=20", "10")
    assert last.header("Set-Cookie") is None
    assert caching.plugin._parts.store.counts == {
        "hit": 1, "miss": 1, "stale": 0, "revalidated": 1, "collapsed": 0
    }  # fmt: skip


async def test_the_request_is_as_it_was_when_the_upstream_was_asked_on_a_condition(
    kit: Kit,
) -> None:
    caching = await Caching.begin(kit, "Cache-Control: no-cache", 'ETag: "a"')
    await caching.ask()
    request = request_of(sent_on={"If-None-Match": '"mine"', "X-Own": "1"})
    await caching.plugin(request, caching.upstream)
    assert dict(request[EXCHANGE].outgoing.headers) == {"If-None-Match": '"mine"', "X-Own": "1"}


async def test_the_clients_own_condition_holds_against_what_was_asked_for_again(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: no-cache", 'ETag: "a"')
    await caching.ask()
    caching.upstream.status = 304
    for tag, status in (('"a"', 304), ('"b"', 200)):
        answer = await caching.ask(sent_on={"If-None-Match": tag})
        assert answer.status == status
        assert status_of(answer) == "fwd=stale; fwd-status=304; ttl=0"


async def test_a_new_answer_takes_the_place_of_the_stale_one(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=1", 'ETag: "a"')
    await caching.ask()
    caching.time.passes(1)
    caching.upstream.body = b"newer"
    caching.upstream.fields = ["Cache-Control: max-age=60", 'ETag: "b"']
    assert status_of(await caching.ask()) == "fwd=stale; stored; ttl=60"
    again = await caching.ask()
    assert (body_of(again), again.header("ETag")) == (b"newer", '"b"')
    assert len(caching.plugin._parts.store) == 1


async def test_a_304_that_means_another_answer_is_followed_by_a_plain_request(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=1", 'ETag: "a"')
    await caching.ask()
    caching.time.passes(1)

    async def confused(request: web.BaseRequest) -> Answer:
        asked = request[EXCHANGE].outgoing.header("If-None-Match")
        caching.upstream.status = 304 if asked else 200
        caching.upstream.fields = ["Cache-Control: max-age=60", 'ETag: "b"']
        return await caching.upstream(request)

    answer = await caching.plugin(request_of(), confused)
    assert (answer.status, status_of(answer)) == (200, "fwd=stale; stored; ttl=60")
    assert [seen.get("If-None-Match") for seen in caching.upstream.seen] == [None, '"a"', None]


async def test_what_has_nothing_to_be_asked_by_leaves_the_clients_condition(kit: Kit) -> None:
    """A 304 then speaks of the client's copy, which is none of the stored answer's business."""
    caching = await Caching.begin(kit, "Cache-Control: max-age=1")
    await caching.ask()
    caching.time.passes(1)
    caching.upstream.status = 304
    answer = await caching.ask(sent_on={"If-None-Match": '"mine"'})
    assert (answer.status, status_of(answer)) == (304, "fwd=stale")
    assert caching.upstream.seen[1] == {"If-None-Match": '"mine"'}


async def test_a_304_that_says_by_what_else_an_answer_varies_is_believed(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: no-cache", 'ETag: "a"')
    german, french = {"Accept-Language": "de"}, {"Accept-Language": "fr"}
    await caching.ask(sent_on=german)
    caching.upstream.status = 304
    caching.upstream.fields = ["Cache-Control: max-age=60", 'ETag: "a"', "Vary: Accept-Language"]
    assert (await caching.ask(sent_on=german)).status == 200
    caching.upstream.status = 200
    assert status_of(await caching.ask(sent_on=french)) == "fwd=vary-miss; stored; ttl=60"
    assert status_of(await caching.ask(sent_on=german)) == "hit; ttl=60"


async def test_a_head_is_answered_from_a_get_and_never_stored(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    assert status_of(await caching.ask("HEAD")) == "fwd=uri-miss"
    assert status_of(await caching.ask("HEAD")) == "fwd=uri-miss"
    await caching.ask()
    head = await caching.ask("HEAD")
    assert (status_of(head), head.header("Content-Length")) == ("hit; ttl=60", "5")


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


# -- changes


@pytest.mark.parametrize(
    ("method", "status", "dropped"),
    [
        ("POST", 200, True),
        ("PUT", 204, True),
        ("PATCH", 303, True),
        ("DELETE", 404, False),
        ("PURGE", 200, True),
        ("POST", 500, False),
        ("OPTIONS", 200, False),
    ],
)
async def test_what_may_have_changed_is_dropped_for_everybody(
    kit: Kit, method: str, status: int, dropped: bool
) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    for principal in (None, ALICE):
        await caching.ask(principal=principal)
    caching.upstream.status = status
    other = Route()
    other.name = "crm/changes"
    await caching.ask(method, principal=BOB, route=other)
    caching.upstream.status = 200
    for principal in (None, ALICE):
        assert status_of(await caching.ask(principal=principal)).startswith("hit") is not dropped


# -- waiting for others


class Slow:
    """A rest of the chain that answers when it is told to, or never."""

    def __init__(self, caching: Caching) -> None:
        self._caching = caching
        self.go = asyncio.Event()
        self.asked = 0

    async def __call__(self, request: web.BaseRequest) -> Answer:
        self.asked += 1
        await self.go.wait()
        return await self._caching.upstream(request)

    def start(self, **how: Any) -> asyncio.Task[Answer]:
        request = request_of(**how)
        return asyncio.ensure_future(self._caching.plugin(request, self))


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_asks_and_the_others_wait(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    slow = Slow(caching)
    tasks = [slow.start() for _ in range(10)]
    tasks.append(slow.start(method="HEAD"))
    await turns()
    slow.go.set()
    results = [status_of(await task) for task in tasks]
    assert results == ["fwd=uri-miss; stored; ttl=60"] + ["fwd=uri-miss; collapsed; ttl=60"] * 10
    assert slow.asked == 1


async def test_an_answer_that_is_not_for_others_lets_them_go_at_once(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: no-store")
    slow = Slow(caching)
    tasks = [slow.start() for _ in range(5)]
    await turns()
    assert slow.asked == 1
    slow.go.set()
    for task in tasks:
        assert status_of(await task) == "fwd=uri-miss"
    assert slow.asked == 5
    slow.go.clear()
    more = [slow.start() for _ in range(3)]
    await turns()
    assert slow.asked == 8, "and nobody waits for it again"
    slow.go.set()
    await asyncio.gather(*more)


async def test_whoever_asks_may_leave_and_the_next_one_asks(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    slow = Slow(caching)
    tasks = [slow.start() for _ in range(4)]
    await turns()
    for leaving in (tasks[0], tasks[2]):
        leaving.cancel()
    await turns()
    assert slow.asked == 2
    slow.go.set()
    assert status_of(await tasks[1]) == "fwd=uri-miss; stored; ttl=60"
    assert status_of(await tasks[3]) == "fwd=uri-miss; collapsed; ttl=60"
    assert slow.asked == 2


async def test_nobody_waits_longer_than_the_option_says(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", wait="10ms")
    slow = Slow(caching)
    first = slow.start()
    await turns()
    second = slow.start()
    async with asyncio.timeout(2):
        while slow.asked < 2:
            await asyncio.sleep(0.005)
    slow.go.set()
    for task in (first, second):
        assert status_of(await task) == "fwd=uri-miss; stored; ttl=60"


@pytest.mark.parametrize(
    "sent", [{"Cache-Control": "no-cache"}, {"Accept": "text/event-stream"}], ids=str
)
async def test_such_a_request_waits_for_nobody(kit: Kit, sent: dict[str, str]) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    slow = Slow(caching)
    tasks = [slow.start(), slow.start(sent_on=sent)]
    await turns()
    assert slow.asked == 2
    slow.go.set()
    await asyncio.gather(*tasks)


async def test_others_get_the_stale_answer_while_one_asks_again(kit: Kit) -> None:
    control = "Cache-Control: max-age=1, stale-while-revalidate=60"
    caching = await Caching.begin(kit, control, 'ETag: "a"')
    await caching.ask()
    caching.time.passes(30)
    slow = Slow(caching)
    first = slow.start()
    await turns()
    other = await slow.start()
    assert status_of(other) == "hit; detail=stale-while-revalidate; ttl=-29"
    assert other.header("Age") == "30"
    caching.upstream.status = 304
    slow.go.set()
    assert status_of(await first).startswith("fwd=stale; fwd-status=304")
    assert slow.asked == 1


async def test_what_differs_by_vary_is_waited_for_once(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60", "Vary: Accept")
    slow = Slow(caching)
    tasks = [slow.start(sent_on={"Accept": f"text/{number}"}) for number in range(4)]
    await turns()
    slow.go.set()
    for task in tasks:
        assert "stored" in status_of(await task)
    assert slow.asked == 4


async def test_what_was_changed_meanwhile_is_not_stored(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: max-age=60")
    slow = Slow(caching)
    first = slow.start()
    await turns()
    await caching.ask("POST")
    slow.go.set()
    await first
    assert status_of(await caching.ask()).startswith("fwd=uri-miss")


# -- bodies


async def test_a_body_is_stored_as_it_goes_by_and_its_end_counts(kit: Kit) -> None:
    caching = await Caching.begin(kit, max_entry="8B")

    async def streamed(parts: list[bytes], *, broken: bool = False) -> AsyncIterator[bytes]:
        for part in parts:
            yield part
        if broken:
            raise GatewayError("upstream_reset_mid_body")

    def answering(parts: list[bytes], *, broken: bool = False) -> Any:
        async def handler(request: web.BaseRequest) -> Answer:
            answer = Answer(headers={"Cache-Control": "max-age=60"})
            answer.body = streamed(parts, broken=broken)
            return answer

        return handler

    for parts, broken in (([b"too ", b"long ", b"x"], False), ([b"cut"], True)):
        request = request_of()
        answer = await caching.plugin(request, answering(parts, broken=broken))
        got = b""
        try:
            async for chunk in answer.body:
                got += chunk
        except GatewayError:
            assert broken
        for callback in request[EXCHANGE].callbacks or []:
            callback(request[EXCHANGE])
        assert got == b"".join(parts)
        assert (len(caching.plugin._parts.store), caching.plugin._parts.store.used) == (0, 0)
    answer = await caching.plugin(request_of(), answering([b"four", b"more"]))
    assert b"".join([chunk async for chunk in answer.body]) == b"fourmore"
    again = await caching.ask()
    assert (body_of(again), again.header("Content-Length")) == (b"fourmore", "8")


# -- the plugin itself


def test_it_stands_behind_whoever_lets_callers_in(kit: Kit) -> None:
    assert kit.make(Cache).stage is Stage.TRANSFORM


def test_an_answer_that_would_never_fit_is_an_error(kit: Kit) -> None:
    found = Found()
    kit.make(Cache, {"max_size": "1KiB", "max_entry": "2KiB"}).check(found)
    assert list(found.errors) == ["max_entry"]


@pytest.mark.parametrize(
    ("method", "principal", "lines"),
    [
        ("GET", None, ["from memory", "callers without credentials"]),
        ("HEAD", ALICE, ["from memory", "this caller"]),
        ("POST", ALICE, ["drops what is stored"]),
        ("OPTIONS", None, ["lets it pass"]),
    ],
)
def test_it_says_what_it_would_do(
    kit: Kit, method: str, principal: Principal | None, lines: list[str]
) -> None:
    exchange = request_of(method)[EXCHANGE]
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
