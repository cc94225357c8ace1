"""Conditions: a client's own, and those on which `cache` asks again."""

from __future__ import annotations

import pytest
from aiohttp import web
from cache_kit import START, Caching, body_of, status_of
from plugin_kit import Kit, request_of

from plugins.cache.dates import format_date
from proxy import EXCHANGE, Answer

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
