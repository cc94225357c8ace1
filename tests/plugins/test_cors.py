"""Which pages of other origins may call, and read what is answered."""

from typing import Any

import pytest
from plugin_kit import Found, Kit, ask, handler_of, is_raw, request_of, unreachable, upstream_answer

from plugins.cors import Cors
from plugins.cors.plugin import MOST_KNOWN
from proxy import EXCHANGE, Answer, GatewayError

APP = "https://app.example.com"
LISTED = {"origins": [APP, "https://*.example.org"], "credentials": True}
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket"}


def preflight(origin: str = APP, method: str = "PUT", headers: str | None = None) -> Any:
    fields = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        fields["Access-Control-Request-Headers"] = headers
    return request_of("OPTIONS", headers=fields)


def access_control(answer: Answer) -> dict[str, str]:
    prefix = "access-control-"
    return {
        name.lower().removeprefix(prefix): value
        for name, value in answer.headers.items()
        if name.lower().startswith(prefix)
    }


def listed(value: str) -> set[str]:
    return {each.strip().lower() for each in value.split(",")}


async def test_a_listed_origin_may_read_the_answer(kit: Kit) -> None:
    plugin = kit.make(Cors, {**LISTED, "expose": ["X-Total"]})
    answer = await ask(plugin, request_of(headers={"Origin": APP}), handler_of())
    assert is_raw(answer)
    told = access_control(answer)
    assert told["allow-origin"] == APP
    assert told["allow-credentials"] == "true"
    assert {"x-total", "x-request-id", "retry-after", "www-authenticate"} < listed(
        told["expose-headers"]
    )
    assert answer.headers.getall("Vary") == ["Origin"]


async def test_an_error_of_the_gateway_may_be_read_too(kit: Kit) -> None:
    refused = Answer.problem(GatewayError("credentials_missing"), request_id="", service="crm")
    answer = await ask(
        kit.make(Cors, LISTED), request_of(headers={"Origin": APP}), handler_of(refused)
    )
    assert access_control(answer)["allow-origin"] == APP


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://APP.example.com", ""])
async def test_another_origin_gets_no_permission(kit: Kit, origin: str) -> None:
    answer = await ask(kit.make(Cors, LISTED), request_of(headers={"Origin": origin}), handler_of())
    assert access_control(answer) == {}
    assert answer.header("Vary") == "Origin"


async def test_a_request_without_origin_only_says_that_it_varies(kit: Kit) -> None:
    answer = await ask(kit.make(Cors, LISTED), request_of(), handler_of())
    assert dict(answer.headers) == {"Vary": "Origin"}


@pytest.mark.parametrize("vary", ["Origin", "Accept, origin", "*"])
async def test_vary_is_not_said_twice(kit: Kit, vary: str) -> None:
    answer = await ask(
        kit.make(Cors, LISTED), request_of(), handler_of(upstream_answer(("Vary", vary)))
    )
    assert answer.headers.getall("Vary") == [vary]


async def test_vary_is_said_beside_the_upstreams(kit: Kit) -> None:
    theirs = upstream_answer(("Vary", "Accept-Encoding"))
    answer = await ask(kit.make(Cors, LISTED), request_of(), handler_of(theirs))
    assert is_raw(answer)
    assert answer.headers.getall("Vary") == ["Accept-Encoding", "Origin"]


@pytest.mark.parametrize("headers", [{}, {"Origin": APP}, {"Origin": "https://evil.example"}])
async def test_what_the_upstream_says_of_access_control_is_removed(
    kit: Kit, headers: dict[str, str]
) -> None:
    theirs = upstream_answer(
        ("access-control-allow-origin", "*"),
        ("Access-Control-Allow-Origin", "https://evil.example"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Private-Network", "true"),
    )
    answer = await ask(kit.make(Cors, LISTED), request_of(headers=headers), handler_of(theirs))
    told = access_control(answer)
    assert "evil" not in str(answer.headers)
    assert "allow-private-network" not in told
    assert told.get("allow-origin") == (APP if headers == {"Origin": APP} else None)


async def test_all_origins_are_told_so_without_varying(kit: Kit) -> None:
    plugin = kit.make(Cors, {"origins": ["*"]})
    answer = await ask(plugin, request_of(headers={"Origin": "https://any.example"}), handler_of())
    told = access_control(answer)
    assert told["allow-origin"] == "*"
    assert "allow-credentials" not in told
    assert answer.header("Vary") is None


async def test_with_no_origins_nobody_else_may_read(kit: Kit) -> None:
    plugin = kit.make(Cors, {"origins": [], "credentials": True})
    answer = await ask(plugin, request_of(headers={"Origin": APP}), handler_of())
    assert dict(answer.headers) == {}
    with pytest.raises(GatewayError):
        await ask(plugin, preflight(), unreachable)


@pytest.mark.parametrize("origin", ["https://a.example.org", "https://a.b-c.example.org"])
async def test_subdomains_are_meant_by_a_star(kit: Kit, origin: str) -> None:
    answer = await ask(kit.make(Cors, LISTED), request_of(headers={"Origin": origin}), handler_of())
    assert access_control(answer)["allow-origin"] == origin


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "http://a.example.org",
        "https://a.example.org:8443",
        "https://evilexample.org",
        "https://evil.com/.example.org",
        "https://evil.com#.example.org",
        "https://user@evil.com:80.example.org",
        "https://.example.org",
        "https://a..example.org",
    ],
)
async def test_what_only_looks_like_a_subdomain_is_foreign(kit: Kit, origin: str) -> None:
    answer = await ask(kit.make(Cors, LISTED), request_of(headers={"Origin": origin}), handler_of())
    assert access_control(answer) == {}


async def test_null_is_allowed_only_where_it_is_listed(kit: Kit) -> None:
    request = request_of(headers={"Origin": "null"})
    for origins, allowed in ((["null"], "null"), (["*"], None)):
        answer = await ask(kit.make(Cors, {"origins": origins}), request, handler_of())
        assert access_control(answer).get("allow-origin") == allowed


async def test_a_preflight_is_answered_without_asking_further(kit: Kit) -> None:
    plugin = kit.make(Cors, LISTED)
    answer = await ask(plugin, preflight(headers="x-tenant, Content-Type"), unreachable)
    assert answer.status == 204
    assert "Content-Length" not in answer.headers
    told = access_control(answer)
    assert listed(told.pop("allow-headers")) == {"x-tenant", "content-type"}
    assert told == {
        "allow-origin": APP,
        "allow-credentials": "true",
        "allow-methods": "PUT",
        "max-age": "600",
    }
    assert answer.headers["Vary"] == (
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    )


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [
        ("https://evil.example", "PUT", None),
        (APP, "PURGE", None),
        (APP, "PUT\u00e4", None),
        (APP, "PUT", "X-Other"),
        (APP, "PUT", "X-Tenant, bad name"),
        (APP, "PUT", "X-Tenant,,"),
    ],
)
async def test_a_preflight_for_more_than_is_allowed_is_refused(
    kit: Kit, origin: str, method: str, headers: str | None
) -> None:
    plugin = kit.make(Cors, {**LISTED, "headers": ["X-Tenant"]})
    with pytest.raises(GatewayError) as raised:
        await ask(plugin, preflight(origin, method, headers), unreachable)
    assert (raised.value.status, raised.value.code) == (403, "origin_refused")
    assert raised.value.headers["Vary"].startswith("Origin, ")
    assert origin not in raised.value.detail


async def test_any_header_may_be_asked_for_by_default_if_it_is_a_name(kit: Kit) -> None:
    plugin = kit.make(Cors, LISTED)
    answer = await ask(plugin, preflight(headers="X-Whatever"), unreachable)
    assert access_control(answer)["allow-headers"].lower() == "x-whatever"
    with pytest.raises(GatewayError):
        await ask(plugin, preflight(headers='X-"<script>"'), unreachable)


async def test_options_that_are_no_preflight_reach_the_upstream(kit: Kit) -> None:
    plugin = kit.make(Cors, LISTED)
    for headers in ({}, {"Origin": APP}, {"Access-Control-Request-Method": "PUT"}):
        answer = await ask(
            plugin,
            request_of("OPTIONS", headers=headers),
            handler_of(upstream_answer(("Allow", "GET"))),
        )
        assert answer.header("Allow") == "GET"


@pytest.mark.parametrize("origin", [APP, "https://brain.example.com"])
async def test_a_websocket_of_a_listed_or_the_own_origin_is_opened(kit: Kit, origin: str) -> None:
    switched = upstream_answer(status=101)
    request = request_of(headers={**UPGRADE, "Origin": origin})
    answer = await ask(kit.make(Cors, LISTED), request, handler_of(switched))
    assert answer.status == 101
    assert access_control(answer) == {}


async def test_a_websocket_of_a_foreign_origin_is_refused(kit: Kit) -> None:
    request = request_of(headers={**UPGRADE, "Origin": "https://evil.example"})
    with pytest.raises(GatewayError) as raised:
        await ask(kit.make(Cors, LISTED), request, unreachable)
    assert (raised.value.status, raised.value.code) == (403, "origin_refused")


async def test_a_websocket_without_origin_is_no_browsers(kit: Kit) -> None:
    request = request_of(headers=UPGRADE)
    answer = await ask(kit.make(Cors, LISTED), request, handler_of(upstream_answer(status=101)))
    assert answer.status == 101


def test_all_origins_with_credentials_is_an_error(kit: Kit) -> None:
    found = Found()
    kit.make(Cors, {"origins": ["*"], "credentials": True}).check(found)
    assert list(found.errors) == ["credentials"]


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.com",
        "https://app.example.com/",
        "https://App.example.com",
        "https://app.example.com:443",
        "https://*",
        "https://a.*.example.com",
        "https://app.example.com/path",
    ],
)
def test_what_no_browser_sends_is_an_error(kit: Kit, origin: str) -> None:
    found = Found()
    kit.make(Cors, {"origins": [APP, origin]}).check(found)
    assert list(found.errors) == ["origins.1"]


@pytest.mark.parametrize(
    "origin", [APP, "http://localhost:3000", "http://[::1]:3000", "capacitor://localhost"]
)
def test_origins_that_browsers_send_are_fine(kit: Kit, origin: str) -> None:
    found = Found()
    kit.make(Cors, {"origins": [origin]}).check(found)
    assert not found.errors
    assert not found.warnings


def test_null_is_every_site_and_never_with_credentials(kit: Kit) -> None:
    found = Found()
    kit.make(Cors, {"origins": [APP, "null"]}).check(found)
    assert (list(found.errors), list(found.warnings)) == ([], ["origins.1"])
    kit.make(Cors, {"origins": [APP, "null"], "credentials": True}).check(found)
    assert list(found.errors) == ["origins.1"]


async def test_an_answer_that_a_cache_may_give_to_any_page_says_so_without_an_origin(
    kit: Kit,
) -> None:
    plugin = kit.make(Cors, {"origins": ["*"], "expose": ["X-Total"]})
    plain = await ask(plugin, request_of(), handler_of())
    page = await ask(plugin, request_of(headers={"Origin": "https://any.example"}), handler_of())
    assert list(plain.headers.items()) == list(page.headers.items())
    assert access_control(plain)["allow-origin"] == "*"
    null = await ask(plugin, request_of(headers={"Origin": "null"}), handler_of())
    assert dict(null.headers) == {"Vary": "Origin"}


async def test_few_origins_are_remembered(kit: Kit) -> None:
    plugin = kit.make(Cors, LISTED)
    for number in range(MOST_KNOWN + 50):
        for origin in (f"https://a{number}.example.org", f"https://a{number}.evil.example"):
            answer = await ask(plugin, request_of(headers={"Origin": origin}), handler_of())
            told = origin if origin.endswith(".org") else None
            assert access_control(answer).get("allow-origin") == told
    assert len(plugin._known) <= MOST_KNOWN
    assert not [origin for origin in plugin._known if "evil" in origin]


def test_a_star_under_a_top_level_domain_is_a_warning(kit: Kit) -> None:
    found = Found()
    kit.make(Cors, {"origins": ["https://*.com"]}).check(found)
    assert list(found.warnings) == ["origins.0"]


def test_it_says_what_it_would_do(kit: Kit) -> None:
    lines = kit.make(Cors, LISTED).explain(request_of()[EXCHANGE])
    assert lines == [f"pages of {APP}, https://*.example.org may read answers"]
    assert kit.make(Cors, {"origins": []}).explain(request_of()[EXCHANGE]) == [
        "no other site may read answers"
    ]


@pytest.mark.parametrize(
    ("method", "sent", "says"),
    [
        ("GET", {"Origin": APP}, f"this page, of {APP}, may read the answer"),
        ("GET", {"Origin": "https://a"}, "this page, of https://a, may not read the answer"),
        (
            "OPTIONS",
            {"Origin": APP, "Access-Control-Request-Method": "PUT"},
            f"answers this preflight itself: {APP} may send PUT",
        ),
        (
            "OPTIONS",
            {"Origin": APP, "Access-Control-Request-Method": "BREW"},
            f"refuses this preflight with 403 origin_refused: {APP} may not send BREW",
        ),
        ("OPTIONS", {"Origin": APP}, f"this page, of {APP}, may read the answer"),
    ],
)
def test_it_says_what_it_would_do_for_a_page(
    kit: Kit, method: str, sent: dict[str, str], says: str
) -> None:
    request = request_of(method, sent_on=sent)
    assert kit.make(Cors, LISTED).explain(request[EXCHANGE])[1:] == [says]
