"""Attacks on one file with all that says who may call: refused, and nothing of them reaches an upstream.

Tokens themselves are attacked in test_jwt_attacks, pages of other sites in test_cross_site and
test_plugins_cors, tickets in test_tickets, deliveries in test_plugins_webhook.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest

from plugins.api_key.keys import Key, KeyRing
from proxy import Principal
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply
from tests.plugins.tokens import ISSUER, pem, rsa, token

APP = "https://app.example.com"
ACME, GLOBEX = "key-of-acme-0123456789abcdef", "key-of-globex-0123456789abcd"
SECRET = "whsec_of_the_shop"
TOKEN = token(iat=int(time.time()), exp=int(time.time()) + 3600)
BEARER = f"Authorization: Bearer {TOKEN}"
COOKIE = f"Cookie: brain={TOKEN}"
BODY = b'{"paid": true}'
CRM, HOOK = "/api/brain/crm/x", "/api/brain/shop/hooks/x"


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def signed(body: bytes = BODY, secret: str = SECRET) -> str:
    return f"X-Hub-Signature-256: sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"


@pytest.fixture
async def running(gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path) -> Gateway:
    key = tmp_path / "issuer.pem"
    key.write_text(pem(rsa()))
    return await gateway(
        f"""
        version: 1
        secrets: {{env: {{prefix: TEST_}}}}
        plugins:
          - cors: {{origins: ["{APP}"], credentials: true}}
          - jwt: {{issuer: "{ISSUER}", audience: brain, key_file: "{key}", cookie: brain}}
          - api-key:
              query: key
              keys:
                - {{name: of-acme, sha256: {digest(ACME)}, tenant: acme}}
                - {{name: of-globex, sha256: {digest(GLOBEX)}, tenant: globex}}
          - ticket
          - identity-headers
        services:
          crm: "{upstream.url}"
          tenants:
            upstream: "{upstream.url}"
            routes:
              - match: {{path: "/{{tenant}}/*"}}
                plugins:
                  - authorize: {{allow: [{{tenant: {{equals: "${{request.path.tenant}}"}}}}]}}
          office:
            upstream: "{upstream.url}"
            plugins: [{{ip-filter: {{allow: ["203.0.113.0/24"]}}}}]
          pages: {{upstream: "{upstream.url}", public: true}}
          shop:
            upstream: "{upstream.url}"
            routes:
              - match: {{method: POST, path: /hooks/*}}
                plugins:
                  - webhook: {{provider: github, secrets: [{{secret: shop, field: key}}]}}
        """,
        TEST_SHOP_KEY=SECRET,
    )


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["code"]


GET = [
    ("nobody", CRM, [], (401, "credentials_missing")),
    ("a token in the query", f"{CRM}?access_token={TOKEN}", [], (401, "credentials_missing")),
    ("a tenant that is only said", CRM, ["X-Tenant-Id: acme"], (401, "credentials_missing")),
    ("a user that is only said", CRM, ["X-User-Id: ada"], (401, "credentials_missing")),
    ("a key with a character more", CRM, [f"X-Api-Key: {ACME}x"], (401, "credentials_invalid")),
    (
        "a key's digest for the key",
        CRM,
        [f"X-Api-Key: {digest(ACME)}"],
        (401, "credentials_invalid"),
    ),
    ("two keys", CRM, [f"X-Api-Key: {ACME}", f"X-Api-Key: {GLOBEX}"], (401, "credentials_invalid")),
    (
        "another tenant's key",
        "/api/brain/tenants/acme/x",
        [f"X-Api-Key: {GLOBEX}"],
        (403, "access_denied"),
    ),
    ("another tenant's token", "/api/brain/tenants/globex/x", [BEARER], (403, "access_denied")),
    ("a tenant's twin", "/api/brain/tenants/ACME/x", [BEARER], (403, "access_denied")),
    (
        "an address that is only said",
        "/api/brain/office/x",
        [
            BEARER,
            "X-Forwarded-For: 203.0.113.7",
            "Forwarded: for=203.0.113.7",
            "X-Real-IP: 203.0.113.7",
        ],
        (403, "address_refused"),
    ),
]


@pytest.mark.parametrize(
    ("path", "headers", "told"), [row[1:] for row in GET], ids=[row[0] for row in GET]
)
async def test_a_reading_attack_is_refused(
    running: Gateway,
    upstream: RecordingUpstream,
    path: str,
    headers: list[str],
    told: tuple[int, str],
) -> None:
    assert code(await running.get(path, *headers)) == told
    assert upstream.seen == []


POST = [
    ("no signature", HOOK, [], (401, "credentials_missing")),
    ("a portal user's good token", HOOK, [BEARER], (401, "credentials_missing")),
    ("a good key", HOOK, [f"X-Api-Key: {ACME}"], (401, "credentials_missing")),
    ("one changed byte", HOOK, [signed(BODY[:-1] + b" ")], (401, "signature_invalid")),
    ("another secret", HOOK, [signed(secret="x")], (401, "signature_invalid")),
    ("a cookie from nowhere", CRM, [COOKIE], (403, "csrf_refused")),
    (
        "a cookie from another site",
        CRM,
        [COOKIE, "Origin: https://evil.example"],
        (403, "csrf_refused"),
    ),
    ("a cookie from null", CRM, [COOKIE, "Origin: null"], (403, "csrf_refused")),
    (
        "a cookie from a look-alike",
        CRM,
        [COOKIE, f"Origin: {APP}.evil.example"],
        (403, "csrf_refused"),
    ),
    ("a cookie over http", CRM, [COOKIE, "Origin: http://app.example.com"], (403, "csrf_refused")),
    (
        "a cookie from a sister site",
        CRM,
        [COOKIE, "Sec-Fetch-Site: same-site"],
        (403, "csrf_refused"),
    ),
]


@pytest.mark.parametrize(
    ("path", "headers", "told"), [row[1:] for row in POST], ids=[row[0] for row in POST]
)
async def test_a_writing_attack_is_refused(
    running: Gateway,
    upstream: RecordingUpstream,
    path: str,
    headers: list[str],
    told: tuple[int, str],
) -> None:
    assert code(await running.get(path, *headers, method="POST", body=BODY)) == told
    assert upstream.seen == []


async def test_a_delivery_is_taken_once(running: Gateway, upstream: RecordingUpstream) -> None:
    first = await running.get(HOOK, signed(), method="POST", body=BODY)
    assert first.status == 200
    again = await running.get(HOOK, signed(), method="POST", body=BODY)
    assert code(again) == (409, "webhook_replayed")
    assert len(upstream.seen) == 1


SAID = [
    "X-User-Id",
    "X-User-Email",
    "X-User-Roles",
    "X-Tenant-Id",
    "X_Tenant_Id",
    "x-tenant_id",
    "X-Auth-Request-User",
]


@pytest.mark.parametrize("path", [CRM, "/api/brain/pages/x"])
async def test_who_calls_is_never_what_a_client_says(
    running: Gateway, upstream: RecordingUpstream, path: str
) -> None:
    spoofed = [f"{name}: eve" for name in SAID]
    assert (await running.get(path, BEARER, *spoofed)).status == 200
    assert b"eve" not in upstream.last.raw_head
    known = ["acme"] if path == CRM else []
    assert upstream.last.all("X-Tenant-Id") == known
    assert upstream.last.all("X-User-Id") == (["ada"] if path == CRM else [])


@pytest.mark.parametrize("path", [CRM, "/api/brain/pages/x", HOOK])
async def test_no_credential_leaves_for_an_upstream(
    running: Gateway, upstream: RecordingUpstream, path: str
) -> None:
    ask = json.dumps({"path": CRM}).encode()
    given = await running.get("/api/brain/_ticket", BEARER, method="POST", body=ask)
    ticket = json.loads(given.body)["ticket"]
    target = f"{path}?key={GLOBEX}&ticket={ticket}&a=1"
    all_of_them = [BEARER, f"X-Api-Key: {ACME}", f"{COOKIE}; theme=dark"]
    if path == HOOK:
        reply = await running.get(target, *all_of_them, signed(), method="POST", body=BODY)
    else:
        reply = await running.get(target, *all_of_them)
    assert reply.status == 200
    seen = upstream.last
    for secret in (TOKEN, ACME, GLOBEX, ticket):
        assert secret.encode() not in seen.raw_head
    assert seen.target.endswith("x?a=1")
    assert seen.all("Cookie") == ["theme=dark"]


async def test_a_ticket_is_for_one_request_on_one_path(
    running: Gateway, upstream: RecordingUpstream
) -> None:
    ask = json.dumps({"path": CRM}).encode()
    given = await running.get("/api/brain/_ticket", BEARER, method="POST", body=ask)
    ticket = json.loads(given.body)["ticket"]
    other = await running.get(f"/api/brain/crm/y?ticket={ticket}")
    assert code(other) == (401, "ticket_invalid")
    assert (await running.get(f"{CRM}?ticket={ticket}")).status == 200
    assert code(await running.get(f"{CRM}?ticket={ticket}")) == (401, "ticket_used")


def test_keys_are_compared_by_digest_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is presented meets SHA-256 and `hmac.compare_digest` alone: nothing to measure."""
    known = Key(hashlib.sha256(ACME.encode()).digest(), Principal("acme"), None)
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr("plugins.api_key.keys.hmac.compare_digest", compare)
    ring = KeyRing([known])
    assert ring.find(ACME) is known
    assert ring.find(ACME[:-1] + "g") is None
    assert compared[0] == (known.digest, known.digest)
    assert all(len(one) == len(other) == 32 for one, other in compared)
