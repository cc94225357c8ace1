"""What an upstream would get, and what would be tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxy.cli.explained import as_text
from tests.explaining.kit import Asked

Of = Callable[..., Asked]

KEY = "0" * 64
TEXT = f"""\
version: 1
gateway: {{base_path: /api}}
plugins:
  - request-id
  - api-key: {{keys: [{{name: ada, sha256: "{KEY}"}}]}}
services:
  near: {{upstream: "http://near:8000/base", public: true}}
  far:
    upstream: {{targets: [https://a.example.com, https://b.example.com:8443]}}
    public: true
    limits: {{request_body: 1KiB}}
    forward_cookies: [taste]
    via: true
    websocket: false
  kept: {{upstream: "http://near/base", public: true, strip: false, host: preserve}}
  tenants:
    upstream: http://near:8000/base
    routes:
      - match: {{path: "/own/*"}}
        rewrite: "/t/${{principal.tenant}}/${{claims.org.id}}/"
      - match: {{path: "/{{id}}/early"}}
        rewrite: "/e/${{request.path.id}}/${{request.query.part}}"
"""


def pairs(told: dict[str, Any], kind: str, key: str) -> list[tuple[str, str]]:
    return [(one["name"], one[key]) for one in told["outgoing"][kind]]


async def test_the_path_is_stripped_and_joined_byte_for_byte(of: Of) -> None:
    sent = (await of(TEXT).told("GET /api/near/a%2Cb/?q=%zz&q"))["outgoing"]
    assert (sent["method"], sent["target"]) == ("GET", "/base/a%2Cb/?q=%zz&q")
    assert sent["targets"] == [
        {
            "url": "http://near:8000",
            "host": "near:8000",
            "weight": 1,
            "backup": False,
            "nowhere": False,
            "place": "routes.yaml:7",
        }
    ]


async def test_every_target_is_told_with_its_own_host(of: Of) -> None:
    sent = (await of(TEXT).told("GET /api/far/x"))["outgoing"]
    assert [(one["url"], one["host"]) for one in sent["targets"]] == [
        ("https://a.example.com", "a.example.com"),
        ("https://b.example.com:8443", "b.example.com:8443"),
    ]


async def test_a_prefix_and_a_host_may_be_kept(of: Of) -> None:
    sent = (await of(TEXT).told("GET /api/kept/x", "Host: shop.test"))["outgoing"]
    assert (sent["target"], sent["targets"][0]["host"]) == ("/base/api/kept/x", "shop.test")


async def test_a_callers_credential_is_dropped_by_its_scheme(of: Of) -> None:
    entry = "  - {use: 'tests.functional.test_credentials_withheld:AnyToken'}"
    text = TEXT.replace("  - request-id", f"  - request-id\n{entry}")
    bearer = await of(text).told("GET /api/far/x?ticket=hush1", "Authorization: Bearer hush2")
    assert pairs(bearer, "dropped", "reason") == [
        ("Host", "gateway"),
        ("Authorization", "credentials"),
    ]
    assert "hush" not in str(bearer)
    named = await of(text).told(
        "GET /api/far/x", "Authorization: Token x", "Connection: Authorization"
    )
    assert ("Authorization", "named") in pairs(named, "dropped", "reason")


async def test_each_field_that_is_dropped_has_its_reason(of: Of) -> None:
    told = await of(TEXT).told(
        "POST /api/far/x",
        "Host: shop.test",
        "Accept: */*",
        "Connection: X-Named",
        "X-Named: 1",
        "Keep-Alive: 5",
        "TE: gzip",
        "X-Forwarded-For: 6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X-User-Id: root",
        "X-Request-Id: mine",
        "X_Request_Id: mine",
        "X-Api-Key: mine",
        "X_Custom: 1",
        "Content-Length: 5",
        "Expect: 100-continue",
        "Cookie: taste=sweet; session=1",
        "Cookie: session=2",
    )
    assert pairs(told, "dropped", "reason") == [
        ("Host", "gateway"),
        ("Connection", "hop-by-hop"),
        ("X-Named", "named"),
        ("Keep-Alive", "hop-by-hop"),
        ("TE", "hop-by-hop"),
        ("X-Forwarded-For", "forwarding"),
        ("X-Real-IP", "forwarding"),
        ("X-User-Id", "identity"),
        ("X-Request-Id", "protected"),
        ("X_Request_Id", "protected"),
        ("X-Api-Key", "protected"),
        ("X_Custom", "underscore"),
        ("Content-Length", "framing"),
        ("Expect", "gateway"),
        ("Cookie", "cookies"),
        ("Cookie", "cookies"),
    ]
    owners = {one["name"]: one["owners"] for one in told["outgoing"]["dropped"]}
    assert (owners["X_Request_Id"], owners["X-Api-Key"]) == (["request-id"], ["api-key"])
    assert pairs(told, "headers", "from") == [
        ("Accept", "client"),
        ("Cookie", "client"),
        ("Via", "gateway"),
        ("X-Forwarded-For", "gateway"),
        ("X-Forwarded-Proto", "gateway"),
        ("Forwarded", "gateway"),
        ("X-Forwarded-Host", "gateway"),
        ("X-Forwarded-Prefix", "gateway"),
        ("X-Brain-Hops", "gateway"),
        ("Content-Length", "gateway"),
    ]


async def test_only_the_cookies_that_are_let_by_are_sent(of: Of) -> None:
    facts = await of(TEXT).facts("GET /api/far/x", "Cookie: taste=sweet; session=1")
    assert facts.outgoing is not None
    assert facts.outgoing.sent[0].value == "taste=sweet"


async def test_a_rewrite_by_claims_has_their_values(of: Of) -> None:
    claims = {"sub": "ada", "tenant": "a b", "org": {"id": 7}}
    told = await of(TEXT).told("GET /api/tenants/own/x?y=1", claims=claims)
    assert told["answer"] is None
    assert told["outgoing"]["target"] == "/base/t/a%20b/7/x?y=1"


async def test_without_claims_it_has_their_names_and_401_is_the_answer(of: Of) -> None:
    told = await of(TEXT).told("GET /api/tenants/own/x?y=1")
    assert (told["answer"]["status"], told["answer"]["code"]) == (401, "credentials_missing")
    assert told["answer"]["headers"] == {
        "WWW-Authenticate": 'ApiKey realm="brain", header="X-Api-Key"'
    }
    assert told["outgoing"]["target"] == "/base/t/${principal.tenant}/${claims.org.id}/x?y=1"


async def test_a_claim_that_the_rewrite_needs_and_the_caller_lacks_is_403(of: Of) -> None:
    told = await of(TEXT).told("GET /api/tenants/own/x", claims={"sub": "ada", "tenant": "a"})
    assert (told["answer"]["status"], told["answer"]["code"]) == (403, "claim_missing")
    assert told["outgoing"] is None


async def test_a_value_that_the_client_lacks_is_400_on_the_route_that_asks_for_it(of: Of) -> None:
    claims = {"sub": "ada"}
    told = await of(TEXT).told("GET /api/tenants/7/early?part=b", claims=claims)
    assert told["outgoing"]["target"] == "/base/e/7/b?part=b"
    told = await of(TEXT).told("GET /api/tenants/7/early", claims=claims)
    assert (told["answer"]["code"], told["outgoing"]) == ("value_missing", None)
    assert told["route"]["name"] == "tenants/{id}/early"
    assert told["chain"]


async def test_what_the_forwarder_refuses_is_the_answer(of: Of) -> None:
    told = await of(TEXT).told("POST /api/far/x", "Content-Length: 1025")
    assert (told["answer"]["status"], told["answer"]["code"]) == (413, "body_too_large")
    upgrade = ("Connection: Upgrade", "Upgrade: websocket")
    told = await of(TEXT).told("GET /api/far/x", *upgrade)
    assert (told["answer"]["code"], told["outgoing"]) == ("upgrade_refused", None)
    told = await of(TEXT).told("GET /api/near/x", *upgrade)
    assert ("Upgrade", "gateway") in pairs(told, "headers", "from")


@pytest.mark.parametrize(
    ("retry", "asked", "reasons"),
    [
        ("{statuses: [502, 503]}", "GET /api/near/x", ["connect", "reset", "status"]),
        ("{statuses: [502, 503]}", "POST /api/near/x", ["connect", "stale-connection"]),
        ("{statuses: [502], attempts: 1}", "GET /api/near/x", []),
    ],
)
async def test_statuses_are_tried_again_where_that_is_safe_and_nothing_is_after_one_attempt(
    of: Of, retry: str, asked: str, reasons: list[str]
) -> None:
    text = TEXT.replace("plugins:", f"defaults: {{retry: {retry}}}\nplugins:", 1)
    retries = (await of(text).told(asked))["retries"]
    assert [one["reason"] for one in retries] == reasons
    assert [one["codes"] for one in retries if one["reason"] == "status"] in ([], [["502", "503"]])


@pytest.mark.parametrize(
    ("asked", "headers", "expected"),
    [
        ("GET /api/near/x", [], [("connect", False, False), ("reset", False, False)]),
        ("GET /api/far/x", [], [("connect", False, False), ("reset", False, False)]),
        ("POST /api/near/x", [], [("connect", False, False), ("stale-connection", True, False)]),
        (
            "PUT /api/near/x",
            ["Content-Length: 5"],
            [("connect", False, False), ("reset", False, False)],
        ),
        (
            "PUT /api/near/x",
            ["Content-Length: 100000"],
            [("connect", False, False), ("reset", False, True)],
        ),
        ("POST /api/near/x", ["Content-Length: 5"], [("connect", False, False)]),
        ("POST /api/far/x", ["Transfer-Encoding: chunked"], [("connect", False, False)]),
    ],
)
async def test_what_is_tried_again_depends_on_targets_method_and_body(
    of: Of, asked: str, headers: list[str], expected: list[tuple[Any, ...]]
) -> None:
    retries = (await of(TEXT).told(asked, *headers))["retries"]
    assert [
        (one["reason"], one["only_reused_connection"], one["only_whole_body"]) for one in retries
    ] == expected
    for one in retries:
        refused = "upstream_connect_refused" in one["codes"]
        assert refused is (one["reason"] == "connect")
        assert "upstream_response_timeout" not in one["codes"]


async def test_an_upstream_that_leads_nowhere_is_told_as_such(of: Of) -> None:
    text = 'version: 1\nservices: {shop: {upstream: "https://shop.invalid", public: true}}\n'
    told = await of(text).told("GET /api/brain/shop/x")
    assert [target["nowhere"] for target in told["outgoing"]["targets"]] == [True]
    assert "https://shop.invalid, a name that leads nowhere" in as_text(told)
