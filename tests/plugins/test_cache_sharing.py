"""What `cache` never keeps, and whom it keeps answers for."""

from __future__ import annotations

import pytest
from aiohttp import web
from cache_kit import ALICE, BOB, START, Caching, body_of, status_of
from plugin_kit import Kit, Route, request_of

from plugins.cache.dates import format_date
from proxy import EXCHANGE, Answer, Principal

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
        (["Cache-Control: max-age=60", "Content-Type: Application/X-NDJSON; a=b"], 200),
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


async def test_what_is_for_everyone_is_served_to_everyone(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: public, max-age=60")
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
@pytest.mark.parametrize("control", ["max-age=60", "s-maxage=60", "max-age=60, must-revalidate"])
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
