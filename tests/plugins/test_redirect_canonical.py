"""The one scheme and host by which clients should come."""

from typing import Any

import pytest
from aiohttp import web
from plugin_kit import Found, Kit, handler_of, request_of, unreachable

from plugins.redirect import Redirect
from proxy import EXCHANGE, Client, GatewayError


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


# -- scheme and host


@pytest.mark.parametrize(
    ("options", "scheme", "host", "expected"),
    [
        ({"scheme": "https"}, "http", "a.example", "https://a.example/x?y=1"),
        ({"scheme": "https"}, "http", "a.example:8080", "https://a.example/x?y=1"),
        ({"scheme": "https"}, "http", "[::1]:8080", "https://[::1]/x?y=1"),
        ({"scheme": "https", "port": 8443}, "http", "a.example:80", "https://a.example:8443/x?y=1"),
        ({"scheme": "https", "keep_query": False}, "http", "a.example", "https://a.example/x"),
        ({"host": "b.example"}, "http", "a.example", "http://b.example/x?y=1"),
        ({"host": "b.example:81"}, "http", "b.example", "http://b.example:81/x?y=1"),
        ({"scheme": "https", "host": "b.example"}, "http", "b.example", "https://b.example/x?y=1"),
        ({"scheme": "https", "host": "b.example"}, "https", "a.b", "https://b.example/x?y=1"),
    ],
)
async def test_clients_that_came_otherwise_are_led_to_the_one_scheme_and_host(
    kit: Kit, options: dict[str, Any], scheme: str, host: str, expected: str
) -> None:
    assert await location(kit, options, came("/x?y=1", scheme=scheme, host=host)) == expected


@pytest.mark.parametrize(
    ("options", "scheme", "host"),
    [
        ({"scheme": "https"}, "https", "a.example"),
        ({"host": "b.example"}, "http", "B.example"),
        ({"host": "b.example"}, "https", "b.example:443"),
        ({"host": "b.example:80"}, "http", "b.example"),
        ({"scheme": "https", "host": "b.example"}, "https", "b.example"),
    ],
)
async def test_clients_that_came_so_pass_on(
    kit: Kit, options: dict[str, Any], scheme: str, host: str
) -> None:
    assert await passes(kit, options, came("/x?y=1", scheme=scheme, host=host))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a%2Fb/%zz?%41=%27", "/a%2Fb/%zz?%41=%27"),
        ("//evil.example/x", "//evil.example/x"),
        ('/a"<b>', "/a%22%3Cb%3E"),
        ("/a?b#c", "/a?b%23c"),
        ("http://other.example/x?y", "/x?y"),
        ("http://other.example?y", "/?y"),
        ("http://other.example", "/"),
    ],
)
async def test_path_and_query_are_the_clients_and_fit_into_a_header(
    kit: Kit, target: str, expected: str
) -> None:
    place = await location(kit, {"scheme": "https"}, came(target, scheme="http", host="a.example"))
    assert place == "https://a.example" + expected


@pytest.mark.parametrize(
    ("told", "trusted", "expected"),
    [
        ("/outer", True, "https://a.example/outer/x"),
        ("/first, /outer/", True, "https://a.example/outer/x"),
        ("/outer", False, "https://a.example/x"),
        ("//evil.example", True, "https://a.example/x"),
        ("/..", True, "https://a.example/x"),
    ],
)
async def test_a_prefix_that_a_trusted_proxy_stripped_is_put_back(
    kit: Kit, told: str, trusted: bool, expected: str
) -> None:
    headers = {"X-Forwarded-Prefix": told}
    request = came("/x", scheme="http", host="a.example", headers=headers, trusted=trusted)
    assert await location(kit, {"scheme": "https"}, request) == expected


async def test_a_client_that_named_no_host_can_be_led_to_a_fixed_one_only(kit: Kit) -> None:
    nameless = came("/x", scheme="http", host="")
    with pytest.raises(GatewayError, match="bad_host"):
        await kit.make(Redirect, {"scheme": "https"})(nameless, unreachable)
    fixed = {"scheme": "https", "host": "b.example"}
    assert await location(kit, fixed, nameless) == "https://b.example/x"


# -- what passes on whatever the options are


@pytest.mark.parametrize("code", ["bad_path", "bad_framing", "loop_detected"])
async def test_what_the_gateway_refuses_is_not_repeated_elsewhere(kit: Kit, code: str) -> None:
    request = came("/a/../b", scheme="http")
    request[EXCHANGE].error = GatewayError(code)
    assert await passes(kit, {"scheme": "https"}, request)


async def test_what_has_no_route_here_may_have_one_there(kit: Kit) -> None:
    request = came("/nowhere", scheme="http", host="a.example")
    request[EXCHANGE].error = GatewayError("no_route")
    assert await location(kit, {"scheme": "https"}, request) == "https://a.example/nowhere"


async def test_a_question_to_the_server_as_a_whole_passes_on(kit: Kit) -> None:
    for options in ({"to": "/new"}, {"scheme": "https"}):
        assert await passes(kit, options, came("*", scheme="http", method="OPTIONS"))
