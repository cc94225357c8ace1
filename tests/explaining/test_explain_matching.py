"""Which route takes a request, why, and what keeps the others from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.explaining.kit import Asked

Of = Callable[..., Asked]

MANY = """\
version: 1
gateway:
  base_path: /api
  expose: {health: any, ready: ["10.0.0.0/8"]}
services:
  shop:
    aliases: [store, /old/shop]
    upstream: http://shop:8000/base
    public: true
    routes:
      - {name: one, match: {path: "/items/{id}", method: GET}}
      - {name: new, match: {path: /items/new, method: GET}}
      - {name: debug, match: {path: /items/new, method: GET, query: {debug: true}}}
      - {name: kind, match: {path: /items/new, method: GET, header: {X-Kind: "v1*", X-Off: false}}}
      - {name: site, match: {path: /items/new, method: GET, host: "*.example"}}
routes:
  - {name: graphql, match: {path: /graphql, method: [POST, PUT]}, upstream: service/shop, public: true}
"""
WITH_FALLBACK = MANY + "fallback: {upstream: http://old, public: true}\n"


@pytest.mark.parametrize(
    ("asked", "name", "why"),
    [
        ("GET /api/shop/items/7", "one", "longer literal prefix (3 segments, not 2)"),
        ("GET /api/shop/items/new", "new", "ahead of one: its whole path is literal"),
        ("GET /api/shop/items/new?debug", "debug", "ahead of new: more predicates (2, not 1)"),
        ("GET /api/shop/other", "shop", "no other route takes it"),
        ("GET /old/shop/items/new", "new", "ahead of one: its whole path is literal"),
        ("POST /graphql", "graphql", "no other route takes it"),
    ],
)
async def test_the_winner_is_told_with_what_put_it_ahead(
    of: Of, asked: str, name: str, why: str
) -> None:
    route = (await of(MANY).told(asked))["route"]
    assert route["name"] == name
    assert route["why"].endswith(why) or why in route["why"]


async def test_a_route_tells_its_place_its_prefix_and_the_values_of_its_path(of: Of) -> None:
    told = await of(MANY).told("GET /api/store/items/a%20b")
    route = told["route"]
    assert (route["name"], route["service"], route["place"]) == ("one", "shop", "routes.yaml:11")
    assert (route["prefix"], route["alias"]) == ("/api/store", True)
    assert route["match"] == "GET /api/store/items/{id}"
    assert route["values"] == {"id": "a b"}
    assert (route["access"], route["access_from"]) == (
        "public",
        {"from": "service", "place": "routes.yaml:9"},
    )
    assert told["outgoing"]["target"] == "/base/items/a%20b"


async def missed(of: Of, asked: str, *headers: str) -> dict[str, Any]:
    told = await of(MANY).told(asked, *headers)
    return {each["name"]: each for each in told["near_misses"]}


@pytest.mark.parametrize(
    ("name", "headers", "failed"),
    [
        (
            "kind",
            ["X-Off: 1"],
            [("header", "x-kind", "v1*", []), ("header", "x-off", "absent", ["1"])],
        ),
        ("kind", ["X-Kind: v2"], [("header", "x-kind", "v1*", ["v2"])]),
        ("debug", [], [("query", "debug", "any value", [])]),
        ("site", ["Host: shop.test"], [("host", None, "*.example", ["shop.test"])]),
    ],
)
async def test_a_near_miss_tells_each_predicate_that_failed(
    of: Of, name: str, headers: list[str], failed: list[tuple[Any, ...]]
) -> None:
    found = (await missed(of, "GET /api/shop/items/new", *headers))[name]
    assert [tuple(one.values()) for one in found["failed"]] == failed
    assert found["outranked"] is None
    assert found["place"].startswith("routes.yaml:1")


async def test_a_method_that_fails_is_told_beside_the_route_that_takes_it(of: Of) -> None:
    found = await missed(of, "PATCH /api/shop/items/7")
    assert found["one"]["failed"] == [
        {"predicate": "method", "name": None, "asked": "GET or HEAD", "sent": ["PATCH"]}
    ]
    assert "shop" not in found


async def test_a_route_that_would_take_it_is_told_to_be_outranked(of: Of) -> None:
    found = await missed(of, "GET /api/shop/items/new")
    assert found["one"]["outranked"] == "its whole path is literal"
    assert found["shop"]["outranked"] == "its whole path is literal"
    assert found["one"]["failed"] == []


async def test_a_wrong_method_is_405_with_allow(of: Of) -> None:
    told = await of(WITH_FALLBACK).told("GET /graphql")
    assert told["route"] is None
    assert (told["answer"]["status"], told["answer"]["code"]) == (405, "method_not_allowed")
    assert told["answer"]["headers"] == {"Allow": "POST, PUT"}
    assert [one["name"] for one in told["near_misses"]] == ["graphql"]
    assert told["outgoing"] is None


async def test_no_route_tells_the_nearest_by_name(of: Of) -> None:
    told = await of(MANY).told("GET /api/shpo/items")
    assert told["answer"]["code"] == "no_route"
    assert told["nearest"] == {"name": "shop", "place": "routes.yaml:6"}
    assert (told["near_misses"], told["settings"], told["retries"]) == ([], [], [])


async def test_the_fallback_takes_what_no_route_does(of: Of) -> None:
    told = await of(WITH_FALLBACK).told("GET /api/shpo/items?x=1")
    route = told["route"]
    assert (route["name"], route["fallback"], route["why"]) == (
        "fallback",
        True,
        "no route takes it",
    )
    assert (told["nearest"]["name"], told["outgoing"]["target"]) == ("shop", "/api/shpo/items?x=1")
    assert told["outgoing"]["targets"][0]["url"] == "http://old"


async def test_a_preflight_is_matched_as_the_method_that_it_asks_for(of: Of) -> None:
    asked = ("OPTIONS /graphql", "Origin: https://a", "Access-Control-Request-Method: PUT")
    told = await of(MANY).told(*asked)
    assert (told["route"]["name"], told["request"]["asked_method"]) == ("graphql", "PUT")
    told = await of(MANY).told("OPTIONS /graphql")
    assert told["answer"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "target",
    ["/api/shop/../x", "/api/shop/%2e%2e/x", "//x", "/a\\b", "/api/shop/x?a#b", "/api/shop/a%2fb"],
)
async def test_an_ambiguous_path_is_refused_as_it_is_on_the_wire(of: Of, target: str) -> None:
    told = await of(WITH_FALLBACK).told(f"GET {target}")
    assert (told["answer"]["status"], told["answer"]["code"]) == (400, "bad_path")
    assert (told["route"], told["outgoing"]) == (None, None)


@pytest.mark.parametrize(
    ("asked", "headers", "code"),
    [
        ("GET /a b", [], "bad_request"),
        ("TRACE /", [], "method_refused"),
        ("GET /" + "x" * 9000, [], "uri_too_long"),
        ("GET /", ["X-A: " + "x" * 20000], "head_too_large"),
        ("GET /", ["Host: a,b"], "bad_host"),
        ("GET /", ["Host: a", "Host: b"], "bad_request"),
        ("GET /", ["Content-Length: 1", "Content-Length: 2"], "bad_request"),
        ("GET /", ["Content-Length: 1", "Expect: wonders"], "expectation_failed"),
        ("POST /graphql", ["Upgrade: h2c", "Connection: Upgrade"], "upgrade_refused"),
        ("GET /api/shop/x", ["X-Brain-Hops: 99"], "loop_detected"),
    ],
)
async def test_what_the_parser_and_the_checks_refuse_has_its_own_code(
    of: Of, asked: str, headers: list[str], code: str
) -> None:
    told = await of(MANY).told(asked, *headers)
    assert told["answer"]["code"] == code
    assert told["outgoing"] is None


async def test_the_gateways_own_pages_are_told(of: Of) -> None:
    assert (await of(MANY).told("GET /health"))["page"]
    assert (await of(MANY).told("OPTIONS *"))["page"]
    refused = await of(MANY).told("GET /ready")
    assert (refused["page"], refused["answer"]["code"]) == (False, "no_route")
    assert (await of(MANY).told("GET /ready", address="10.1.1.1"))["page"]


async def test_a_url_asks_its_own_host(of: Of) -> None:
    told = await of(MANY).told("GET https://shop.example/api/shop/items/new?x=1#part")
    assert (told["request"]["host"], told["request"]["target"]) == (
        "shop.example",
        "/api/shop/items/new?x=1",
    )
    assert told["route"]["name"] == "site"
    assert (await of(MANY).told("GET http://shop.test"))["request"]["target"] == "/"


async def test_without_a_host_it_asks_the_address_that_is_listened_on(of: Of) -> None:
    told = await of(MANY).told("GET /api/shop")
    assert (told["request"]["host"], told["request"]["client"]) == ("localhost:8080", "127.0.0.1")


async def test_a_trusted_proxy_is_believed(of: Of) -> None:
    text = MANY.replace("gateway:\n", 'gateway:\n  trusted_proxies: ["10.0.0.0/8"]\n')
    headers = (
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Host: a.example",
        "X-Forwarded-Proto: https",
    )
    told = await of(text).told("GET /api/shop/items/new", *headers, address="10.0.0.1")
    request = told["request"]
    assert (request["client"], request["scheme"], request["host"], request["trusted_proxy"]) == (
        "203.0.113.9",
        "https",
        "a.example",
        True,
    )
    assert told["route"]["name"] == "site"
    told = await of(text).told("GET /api/shop/items/new", *headers, address="192.0.2.1")
    assert (told["request"]["client"], told["route"]["name"]) == ("192.0.2.1", "new")


@pytest.mark.parametrize("text", ["GET x", "GET /a\r\nX: y", "GE\nT /", "GET /\0"])
async def test_what_is_no_request_raises(of: Of, text: str) -> None:
    with pytest.raises(ValueError, match=r"slash|line break"):
        await of(MANY).told(text)


async def test_a_listener_with_tls_is_asked_over_https(of: Of, tmp_path: Path) -> None:
    (tmp_path / "any.pem").write_text("")
    tls = f"gateway:\n  tls: {{cert: {tmp_path}/any.pem, key: {tmp_path}/any.pem}}\n"
    told = await of(MANY.replace("gateway:\n", tls)).told("GET /api/shop", address="::1")
    assert told["request"]["scheme"] == "https"
    fields = {one["name"]: one["value"] for one in told["outgoing"]["headers"]}
    assert fields["X-Forwarded-Proto"] == "https"
    assert fields["Forwarded"] == 'for="[::1]";proto=https;host="localhost:8080"'
