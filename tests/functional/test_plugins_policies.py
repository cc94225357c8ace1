"""headers, cors and api-key on a real gateway."""

from __future__ import annotations

import hashlib
import json

import pytest

from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream

APP = "https://app.example.com"
KEY = "0123456789abcdef0123456789abcdef"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
CHALLENGE = 'ApiKey realm="brain", header="X-Api-Key"'
KEYS = f"{{name: ci, tenant: acme, sha256: {DIGEST}}}"


# -- headers


async def test_headers_are_edited_both_ways(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nX-Powered-By: x\r\nX-Two: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    running = await gateway(
        f"""
        version: 1
        services:
          echo:
            upstream: "{upstream.url}"
            public: true
            plugins:
              - headers:
                  request:
                    set: {{X-Page: "${{request.query.page}}", X-Fixed: here}}
                    add: {{X-More: "2"}}
                    remove: [X-Gone]
                  response:
                    set: {{X-Frame-Options: DENY, X-Missing: "${{response.header.X-None}}"}}
                    add: {{X-Two: "2"}}
                    remove: [X-Powered-By]
        """
    )
    reply = await running.get("/api/brain/echo/?page=7", "X-More: 1", "X-Gone: 1", "X-Fixed: no")
    assert upstream.last.all("X-Page") == ["7"]
    assert upstream.last.all("X-Fixed") == ["here"]
    assert upstream.last.all("X-More") == ["1", "2"]
    assert upstream.last.header("X-Gone") is None
    assert reply.all("X-Frame-Options") == ["DENY"]
    assert reply.all("X-Two") == ["1", "2"]
    assert reply.header("X-Powered-By") is None
    assert reply.header("X-Missing") is None
    assert reply.body == b"ok"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "value_missing"),
        ("?page=a%0d%0aEvil:%201", "value_invalid"),
        ("?page=%00", "value_invalid"),
    ],
)
async def test_a_value_that_is_missing_or_may_not_stand_in_a_header_is_400(
    gateway: MakeGateway, upstream: RecordingUpstream, query: str, code: str
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{headers: {{request: {{set: {{X-Page: "${{request.query.page}}"}}}}}}}}]
        """
    )
    reply = await running.get(f"/api/brain/echo/{query}")
    assert reply.status == 400
    assert json.loads(reply.body)["code"] == code
    assert f'details="{code}"' in (reply.header("Proxy-Status") or "")
    assert upstream.seen == []


async def test_errors_of_the_gateway_are_edited_too(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [{{headers: {{response: {{set: {{X-Frame-Options: DENY}}}}}}}}]
        services:
          echo: {{upstream: "{upstream.url}", public: true}}
        """
    )
    assert (await running.get("/nowhere")).header("X-Frame-Options") == "DENY"


# -- cors


async def with_cors(gateway: MakeGateway, url: str, more: str = "") -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins:
          - cors: {{origins: ["{APP}"], credentials: true{more}}}
          - api-key: {{keys: [{KEYS}]}}
        services:
          echo: {{upstream: "{url}"}}
        """
    )


async def test_a_preflight_is_answered_before_anybody_is_authenticated(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await with_cors(gateway, upstream.url)
    reply = await running.get(
        "/api/brain/echo/x",
        f"Origin: {APP}",
        "Access-Control-Request-Method: PUT",
        "Access-Control-Request-Headers: x-api-key, content-type",
        method="OPTIONS",
    )
    assert (reply.status, reply.body) == (204, b"")
    assert reply.all("Access-Control-Allow-Origin") == [APP]
    assert reply.header("Access-Control-Allow-Credentials") == "true"
    assert "PUT" in (reply.header("Access-Control-Allow-Methods") or "")
    allowed = (reply.header("Access-Control-Allow-Headers") or "").lower()
    assert "x-api-key" in allowed
    assert reply.header("Access-Control-Max-Age") == "600"
    assert "Origin" in (reply.header("Vary") or "")
    assert upstream.seen == []


async def test_a_preflight_from_elsewhere_gets_no_permission(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await with_cors(gateway, upstream.url)
    reply = await running.get(
        "/api/brain/echo/x",
        "Origin: https://evil.example.com",
        "Access-Control-Request-Method: PUT",
        method="OPTIONS",
    )
    assert reply.status == 403
    assert reply.header("Access-Control-Allow-Origin") is None
    assert "Origin" in (reply.header("Vary") or "")


@pytest.mark.parametrize("path", ["/api/brain/echo/x", "/nowhere"])
async def test_a_page_may_read_errors(
    gateway: MakeGateway, upstream: RecordingUpstream, path: str
) -> None:
    running = await with_cors(gateway, upstream.url)
    reply = await running.get(path, f"Origin: {APP}")
    assert reply.status in (401, 404)
    assert reply.all("Access-Control-Allow-Origin") == [APP]
    assert "Proxy-Status" in (reply.header("Access-Control-Expose-Headers") or "")
    assert "Origin" in (reply.header("Vary") or "")


async def test_answers_are_marked_by_the_gateway_alone_and_vary(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    running = await with_cors(gateway, upstream.url)
    mine = await running.get("/api/brain/echo/x", f"Origin: {APP}", f"X-Api-Key: {KEY}")
    assert mine.all("Access-Control-Allow-Origin") == [APP]
    foreign = await running.get(
        "/api/brain/echo/x", "Origin: https://evil.example.com", f"X-Api-Key: {KEY}"
    )
    assert foreign.all("Access-Control-Allow-Origin") == []
    plain = await running.get("/api/brain/echo/x", f"X-Api-Key: {KEY}")
    assert plain.all("Access-Control-Allow-Origin") == []
    for reply in (mine, foreign, plain):
        assert reply.body == b"ok"
        assert {v.strip() for each in reply.all("Vary") for v in each.split(",")} == {
            "Accept",
            "Origin",
        }


# -- api-key


async def closed(gateway: MakeGateway, url: str, options: str = "", more: str = "") -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins: [{{api-key: {{keys: [{KEYS}]{options}}}}}]
        services:
          echo:
            upstream: "{url}"
            {more}
        """
    )


async def test_default_deny_lets_a_key_in_and_nobody_else(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await closed(gateway, upstream.url)
    reply = await running.get("/api/brain/echo/x", f"X-Api-Key: {KEY}")
    assert reply.status == 200
    assert upstream.last.header("X-Api-Key") is None, "the upstream never sees the key"
    for sent, code in {
        "X-Other: 1": "credentials_missing",
        "X-Api-Key: wrong": "credentials_invalid",
        f"X-Api-Key: {DIGEST}": "credentials_invalid",
        f"x_api_key: {KEY}": "credentials_missing",
    }.items():
        refused = await running.get("/api/brain/echo/x", sent)
        assert refused.status == 401
        assert json.loads(refused.body)["code"] == code
        assert refused.header("WWW-Authenticate") == CHALLENGE
    assert len(upstream.seen) == 1


async def test_two_keys_at_once_are_none(gateway: MakeGateway, upstream: RecordingUpstream) -> None:
    running = await closed(gateway, upstream.url)
    reply = await running.get("/api/brain/echo/x", f"X-Api-Key: {KEY}", "X-Api-Key: other")
    assert reply.status == 401
    assert upstream.seen == []


async def test_a_key_in_the_query_is_removed_and_the_rest_stays(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await closed(gateway, upstream.url, ", query: api_key")
    reply = await running.get(f"/api/brain/echo/x?a=%27&api_key={KEY}&b=%zz")
    assert reply.status == 200
    assert upstream.last.target == "/x?a=%27&b=%zz"


async def test_a_route_may_forward_the_key_that_was_accepted(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await closed(gateway, upstream.url, more="forward_token: true")
    await running.get("/api/brain/echo/x", f"X-Api-Key: {KEY}")
    assert upstream.last.all("X-Api-Key") == [KEY]


async def test_a_key_never_reaches_a_public_route_either(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await closed(gateway, upstream.url, more="public: true")
    assert (await running.get("/api/brain/echo/x", f"X-Api-Key: {KEY}")).status == 200
    assert upstream.last.header("X-Api-Key") is None


async def test_an_expired_key_is_told_as_expired(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    expired = KEYS.replace("}", ", expires: 2020-01-31}")
    running = await gateway(
        f"""
        version: 1
        plugins: [{{api-key: {{keys: [{expired}]}}}}]
        services:
          echo: {{upstream: "{upstream.url}"}}
        """
    )
    reply = await running.get("/api/brain/echo/x", f"X-Api-Key: {KEY}")
    assert (reply.status, json.loads(reply.body)["code"]) == (401, "credentials_expired")


async def test_a_service_that_says_nothing_of_access_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    with pytest.raises(InvalidConfig, match="lets anyone in"):
        await gateway(f'version: 1\nservices:\n  echo: "{upstream.url}"\n')
