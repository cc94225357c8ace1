"""Sending clients elsewhere, and nobody anywhere that a stranger chose."""

from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus, urljoin, urlsplit

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from plugin_kit import Found, Kit, handler_of, request_of, unreachable

from plugins.redirect import Redirect
from proxy import EXCHANGE, Client, GatewayError
from proxy.testing import check_plugin


def found_in(kit: Kit, options: dict[str, Any]) -> Found:
    found = Found()
    kit.make(Redirect, options).check(found)
    return found


def came(
    target: str, *, scheme: str = "https", host: str = "brain.example.com", **more: Any
) -> web.BaseRequest:
    request = request_of(target=target, **more)
    trusted = request[EXCHANGE].client.trusted
    request[EXCHANGE].client = Client("203.0.113.7", scheme, host, trusted)
    return request


async def location(kit: Kit, options: dict[str, Any], request: web.BaseRequest) -> str:
    answer = await kit.make(Redirect, options)(request, unreachable)
    return answer.headers["Location"]


async def passes(kit: Kit, options: dict[str, Any], request: web.BaseRequest) -> bool:
    answer = await kit.make(Redirect, options)(request, handler_of())
    return answer.status == 200


# -- to


@pytest.mark.parametrize(
    ("options", "target", "expected"),
    [
        ({"to": "/new"}, "/old", "/new"),
        ({"to": "/new"}, "/old?a=%27&b=%zz", "/new?a=%27&b=%zz"),
        ({"to": "/new"}, "/old?", "/new"),
        ({"to": "/new", "keep_query": False}, "/old?a=1", "/new"),
        ({"to": "/new?x=1"}, "/old?a=1", "/new?x=1&a=1"),
        ({"to": "/new?x=1#there"}, "/old?a=1", "/new?x=1&a=1#there"),
        ({"to": "https://example.com"}, "/old?a=1", "https://example.com?a=1"),
        ({"to": "https://[2001:db8::1]:8443/x"}, "/old", "https://[2001:db8::1]:8443/x"),
        ({"to": "/new/${request.path.id}"}, "/api/brain/crm/my-page", "/new/my-page"),
        ({"to": "/new?q=${request.query.q}", "keep_query": False}, "/o?q=a%26b", "/new?q=a%26b"),
        ({"to": "/in/${service}"}, "/old", "/in/crm"),
    ],
)
async def test_a_place_is_joined_with_the_clients_query(
    kit: Kit, options: dict[str, Any], target: str, expected: str
) -> None:
    assert await location(kit, options, came(target)) == expected


@pytest.mark.parametrize(
    ("to", "target", "expected"),
    [
        ("/new", "/old", "/new"),
        ("/new", "/old/", "/new/"),
        ("/new", "/old/a/%27b/?x=1", "/new/a/%27b/?x=1"),
        ("/new/", "/old/a", "/new/a"),
        ("/", "/old/a", "/a"),
        ("/", "/old", "/"),
        ("https://example.com", "/old/a", "https://example.com/a"),
        ("https://example.com/new", "/%6Fld/a", "https://example.com/new/a"),
    ],
)
async def test_what_follows_a_prefix_goes_along_byte_for_byte(
    kit: Kit, to: str, target: str, expected: str
) -> None:
    request = came(target)
    request[EXCHANGE].path = target.partition("?")[0].replace("%6F", "o").replace("%27", "'")
    assert await location(kit, {"to": to, "prefix": "/old"}, request) == expected


@pytest.mark.parametrize("target", ["/older", "/", "/a/old/b", "/olde/x"])
async def test_what_is_outside_of_a_prefix_passes_on(kit: Kit, target: str) -> None:
    assert await passes(kit, {"to": "/new", "prefix": "/old"}, came(target))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_status_and_the_caching_are_as_the_file_says(kit: Kit, status: int) -> None:
    options = {"to": "/new", "status": status, "cache_control": "max-age=60"}
    answer = await kit.make(Redirect, options)(came("/old"), unreachable)
    assert (answer.status, answer.headers["Cache-Control"]) == (status, "max-age=60")
    plain = await kit.make(Redirect, {"to": "/new"})(came("/old"), unreachable)
    assert plain.status == 308
    assert "Cache-Control" not in plain.headers


async def test_a_value_that_the_client_did_not_send_is_400(kit: Kit) -> None:
    plugin = kit.make(Redirect, {"to": "/new?x=${request.query.x}"})
    with pytest.raises(GatewayError, match="value_missing"):
        await plugin(came("/old"), unreachable)


@pytest.mark.parametrize(
    ("to", "query"),
    [
        ("/${request.query.a}/${request.query.b}", "a=&b=evil.example"),
        ("/in/${request.query.a}", "a=.."),
        ("/in/${request.query.a}/x", "a=."),
        ("https://example.com/in/${request.query.a}", "a=.."),
    ],
)
async def test_a_value_that_would_lead_elsewhere_is_400(kit: Kit, to: str, query: str) -> None:
    plugin = kit.make(Redirect, {"to": to, "keep_query": False})
    with pytest.raises(GatewayError, match="value_invalid"):
        await plugin(came(f"/old?{query}"), unreachable)


HOSTILE = [
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "@evil.example",
    ".evil.example",
    "a\r\nSet-Cookie: x=1",
    "\t/evil.example",
    "?#/",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "to", ["/in/${request.header.X-Value}", "https://example.com/${request.header.X-Value}"]
)
async def test_no_value_reaches_the_host_or_ends_the_header(kit: Kit, to: str, value: str) -> None:
    request = came("/old", headers={"X-Value": value})
    place = await location(kit, {"to": to}, request)
    before = to.partition("$")[0]
    assert place.startswith(before)
    assert not set(place[len(before) :]) & set("/\\@?#: \r\n\t")
    assert place.isascii()


@given(value=st.text(max_size=20), second=st.text(max_size=20))
def test_whatever_the_values_are_the_place_stays_on_this_host(value: str, second: str) -> None:
    options = {"to": "/${request.query.a}/${request.query.b}", "keep_query": False}
    plugin = Kit().make(Redirect, options)
    request = came(f"/old?a={quote_plus(value)}&b={quote_plus(second)}")
    with suppress(GatewayError):
        answering = plugin(request, unreachable)
        with pytest.raises(StopIteration) as done:
            answering.send(None)  # type: ignore[attr-defined]
        place = urljoin("https://brain.example.com/old", done.value.value.headers["Location"])
        assert urlsplit(place).netloc == "brain.example.com"


@pytest.mark.parametrize(
    "to",
    [
        "new",
        "//evil.example/x",
        "ftp://example.com/",
        "https://",
        "https:///x",
        "https:/example.com",
        "javascript:alert(1)",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://${request.header.X-Host}/",
        "https://example.com${request.query.x}",
        "https://example.com:${request.query.x}/",
        "https://example.${request.query.x}/",
        "${request.query.to}",
        "/a b",
        "/a\nb",
        "/\\evil.example",
        "/\u00e4",
        "/a/../b",
        "https://example.com/%2e%2e/b",
        "/$${x}",
    ],
)
def test_a_place_that_is_none_or_has_no_fixed_host_is_refused_at_load(kit: Kit, to: str) -> None:
    assert found_in(kit, {"to": to}).errors.keys() == {"to"}


@pytest.mark.parametrize(
    "to",
    [
        "/",
        "/new",
        "/a.b/..c/d",
        "https://example.com",
        "http://example.com:8080/x?y=1#z",
        "https://example.com?x=${request.query.x}",
        "/new/${request.path.id}?from=${request.header.Referer}",
    ],
)
def test_a_place_on_a_fixed_host_is_accepted(kit: Kit, to: str) -> None:
    found = found_in(kit, {"to": to})
    assert (found.errors, found.warnings) == ({}, {})


@pytest.mark.parametrize(
    ("prefix", "to", "circles"),
    [
        ("/old", "/old", True),
        ("/old", "/old/new", True),
        ("/", "/new", True),
        ("/old", "/older", False),
        ("/old", "/new", False),
        ("/old/x", "/old", False),
        ("/old", "https://example.com/old", False),
    ],
)
def test_a_place_below_its_own_prefix_is_warned_of(
    kit: Kit, prefix: str, to: str, circles: bool
) -> None:
    found = found_in(kit, {"prefix": prefix, "to": to})
    assert found.errors == {}
    assert bool(found.warnings) == circles


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("/old", "/old"),
        ("/old", "/old?a=1"),
        ("https://brain.example.com/old", "/old"),
    ],
)
async def test_a_redirect_to_the_requests_own_place_is_508(kit: Kit, to: str, target: str) -> None:
    with pytest.raises(GatewayError, match="loop_detected"):
        await kit.make(Redirect, {"to": to})(came(target), unreachable)


# -- options that contradict each other


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({}, {"to"}),
        ({"to": "/new", "scheme": "https"}, {"scheme"}),
        ({"to": "/new", "host": "b.example", "port": 1}, {"host", "port"}),
        ({"prefix": "/old", "scheme": "https"}, {"prefix"}),
        ({"host": "b.example", "port": 8443}, {"port"}),
        ({"scheme": "https", "host": "b.example", "port": 8443}, {"port"}),
        ({"prefix": "/old", "to": "/new?x=1"}, {"to"}),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    kit: Kit, options: dict[str, Any], places: set[str]
) -> None:
    assert found_in(kit, options).errors.keys() == places


def test_it_says_where_it_leads(kit: Kit) -> None:
    exchange = came("/old/x")[EXCHANGE]
    assert kit.make(Redirect, {"to": "/new", "prefix": "/old"}).explain(exchange) == [
        "answers 308 and leads to /new and what follows /old"
    ]
    canonical = kit.make(Redirect, {"scheme": "https", "status": 301})
    assert canonical.explain(exchange) == [
        "lets this pass: only others are led to https on the host that was asked for"
    ]
    exchange.client = Client("203.0.113.7", "http", "brain.example.com")
    assert canonical.explain(exchange) == [
        "answers 301 and leads to https on the host that was asked for"
    ]


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(Redirect, {"to": "/new", "prefix": "/old"})
    await check_plugin(Redirect, {"scheme": "https"})
