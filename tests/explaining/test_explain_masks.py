"""No explanation shows a credential: not the caller's, not the files', not the environment's."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from proxy.config.masking import MASK
from tests.explaining.kit import Asked

Of = Callable[..., Asked]

TEXT = f"""\
version: 1
plugins:
  - api-key: {{header: X-Door, keys: [{{name: ada, sha256: "{"ab" * 32}"}}]}}
services:
  crm:
    upstream: http://crm
    plugins:
      - headers:
          request:
            set:
              Authorization: "Token ${{CRM_TOKEN}}"
              X-Plain: "is-${{CRM_TOKEN}}-inside"
              X-Api-Key: written-in-the-file
              X-Caller: "${{claims.access_token}} ${{principal.subject}}"
              X-From: "${{request.header.authorization}} ${{request.header.x-door}}"
              X-Code: "${{request.query.code}}"
              Cookie: "sid=${{claims.sid}}"
    routes:
      - {{match: {{path: /kind, header: {{authorization: "Bearer expected-secret"}}}}}}
"""
SECRETS = (
    "from-the-environment",
    "written-in-the-file",
    "of-the-claims",
    "sent-bearer",
    "sent-cookie",
    "sent-door",
    "sent-code",
    "sent-query-token",
    "expected-secret",
    "sid-of-the-claims",
    "abababababab",
)
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


async def test_no_credential_is_told(of: Of) -> None:
    claims = {"sub": "ada", "access_token": "of-the-claims", "sid": "sid-of-the-claims"}
    for path in ("/x", "/kind"):
        told = await of(TEXT, CRM_TOKEN="from-the-environment").told(
            f"GET /api/brain/crm{path}?code=sent-code&access%5Ftoken=sent-query-token&page=2&a={JWT}",
            "Authorization: Bearer sent-bearer",
            "Cookie: a=sent-cookie",
            "X-Door: sent-door",
            f"X-Assertion: {JWT}",
            "Referer: https://user:sent-code@example.com/",
            claims=claims,
        )
        shown = json.dumps(told)
        for secret in (*SECRETS, JWT, "eyJzdWIiOiJhZGEifQ"):
            assert secret not in shown, secret


async def test_what_is_no_credential_is_told(of: Of) -> None:
    told = await of(TEXT, CRM_TOKEN="from-the-environment").told(
        "GET /api/brain/crm/x?code=sent-code&page=2",
        "Authorization: Bearer sent-bearer",
        "X-Colour: red",
        claims={"sub": "ada"},
    )
    assert told["outgoing"]["target"] == f"/x?code={MASK}&page=2"
    assert told["outgoing"]["headers"][:2] == [
        {"name": "Authorization", "value": MASK, "from": "client"},
        {"name": "X-Colour", "value": "red", "from": "client"},
    ]
    assert told["chain"][1]["explains"] == [
        f"sets Authorization: {MASK}",
        f"sets X-Plain: is-{MASK}-inside on the request",
        f"sets X-Api-Key: {MASK}",
        "sets X-Caller: ${claims.access_token} (missing) ada on the request",
        f"sets X-From: {MASK} ${{request.header.x-door}} (missing) on the request",
        f"sets X-Code: {MASK} on the request",
        f"sets Cookie: {MASK}${{claims.sid}}{MASK}",
    ]
    failed = told["near_misses"]
    assert failed == []


async def test_a_predicate_on_a_credential_tells_neither_value(of: Of) -> None:
    told = await of(TEXT, CRM_TOKEN="from-the-environment").told(
        "GET /api/brain/crm/kind", "Authorization: Bearer sent-bearer"
    )
    (miss,) = told["near_misses"]
    assert miss["failed"] == [
        {"predicate": "header", "name": "authorization", "asked": MASK, "sent": [MASK]}
    ]


async def test_text_of_strangers_obeys_no_terminal(of: Of) -> None:
    told = await of(TEXT, CRM_TOKEN="x").told(
        "GET /api/brain/crm/x", "X-A: \u202e\x9b31m", "X-B: \udcff", claims={"sub": "a\x1b[2J"}
    )
    assert all(each.isprintable() for each in _texts(told))


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for key, below in value.items() for text in (key, *_texts(below))]
    if isinstance(value, list):
        return [text for below in value for text in _texts(below)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("short", ["", "x", "abc"])
async def test_a_short_credential_hides_no_other_text(of: Of, short: str) -> None:
    told = await of(TEXT, CRM_TOKEN=short or "-").told("GET /api/brain/crm/x")
    assert MASK not in told["route"]["name"]


WRITTEN = """\
version: 1
services:
  crm:
    public: true
    upstream: http://crm
    plugins:
      - headers:
          request:
            set:
              X-Upstream-Auth: Basic c2VjcmV0
              X-Plain: Basic cGxhaW4x
              X-Link: "https://h/?sig=LINKSECRET&page=2"
"""


async def test_a_credential_written_in_the_options_is_not_told(of: Of) -> None:
    told = await of(WRITTEN).told("GET /api/brain/crm/x")
    (step,) = (each for each in told["chain"] if each["plugin"] == "headers")
    assert step["explains"] == [
        f"sets X-Upstream-Auth: {MASK}",
        f"sets X-Plain: Basic {MASK} on the request",
        f"sets X-Link: https://h/?sig={MASK}",
    ]
    for secret in ("c2VjcmV0", "cGxhaW4x", "LINKSECRET"):
        assert secret not in json.dumps(told)


async def test_a_credential_of_the_asked_request_is_not_told(of: Of) -> None:
    told = await of(WRITTEN).told(
        "GET /api/brain/crm/x?pin=1234&pinned=yes&next=https%3A%2F%2Fh%2F%3Ftoken%3DREFSECRET",
        "Referer: https://h/?token=REFSECRET&page=2",
        "X-CSRF: REFSECRET",
        "X-Pass: REFSECRET",
        "X-Other: basic REFSECRET",
        "X-Author: ada",
    )
    assert told["outgoing"]["target"] == f"/x?pin={MASK}&pinned=yes&next={MASK}"
    shown = {each["name"]: each["value"] for each in told["request"]["headers"]}
    assert shown == {
        "Referer": f"https://h/?token={MASK}&page=2",
        "X-CSRF": MASK,
        "X-Pass": MASK,
        "X-Other": f"basic {MASK}",
        "X-Author": "ada",
    }
    assert "REFSECRET" not in json.dumps(told)
    assert "1234" not in json.dumps(told)
