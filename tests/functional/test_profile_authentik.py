"""`profile: authentik` as the platform uses it, and what went wrong there before: it can't again."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import pytest

from proxy.config.load import InvalidConfig
from tests.functional import keykit
from tests.functional.conftest import MakeGateway
from tests.functional.forgekit import by_shared
from tests.functional.keykit import KeyServer, ec, rsa
from tests.functional.kit import Gateway, RecordingUpstream, Reply

CRM, CMS = "/api/brain/django-crm/contacts", "/api/brain/wagtail/pages/"
OLD, SECRET = "https://old-gateway.example.com/", "the-secret-of-the-old-gateway-0123456789"


@pytest.fixture
async def door(gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer) -> Gateway:
    return await gateway(
        f"""
        version: 1
        secrets: {{env: {{prefix: TEST_}}}}
        plugins:
          - request-id
          - jwt:
              issuers:
                - {{profile: authentik, issuer: "{issuer.issuer}", audience: brain}}
                - {{issuer: "{OLD}", audience: brain, secret: {{secret: old, field: key}}}}
          - identity-headers
        services:
          django-crm:
            upstream: "{upstream.url}"
            routes:
              - match: {{path: "/admin/*"}}
                plugins: [{{authorize: {{allow: [{{roles: [super admin]}}]}}}}]
          wagtail: {{upstream: "{upstream.url}", public: true}}
          agents:
            upstream: "{upstream.url}"
            plugins: [{{authorize: {{allow: [{{tenant: required}}]}}}}]
        routes:
          - {{name: graphql, match: {{path: /graphql}}, upstream: "{upstream.url}"}}
        """,
        TEST_OLD_KEY=SECRET,
    )


def shaped(issuer: KeyServer, **more: Any) -> str:
    """Return a token with the claims that Authentik gives."""
    now = int(time.time())
    good = {
        "sub": "5f1d7a84db00c2fe7d8ecc5f",
        "email": "kim@acme.example.com",
        "email_verified": True,
        "name": "Kim Müller",
        "preferred_username": "kim",
        "given_name": "Kim Müller",
        "nickname": "kim",
        "groups": ["Admin", "authentik Admins"],
        "tenant_id": None,
        "ak_tenant": "acme",
        "auth_time": now,
        "acr": "goauthentik.io/providers/oauth2/default",
        "amr": ["pwd"],
        "azp": "brain",
        "uid": "XkKqU0vN3mT5GyEJmBSGcQ7S1rP9",
        "scope": "openid profile email",
    }
    return issuer.mint(**{**good, **more})


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["code"] if reply.status != 200 else ""


# -- what its tokens say


async def test_a_person_is_known_by_the_claims_of_the_token(
    door: Gateway, upstream: RecordingUpstream, issuer: KeyServer
) -> None:
    assert (await door.get(CRM, bearer(shaped(issuer)))).status == 200
    seen = upstream.last
    assert seen.all("X-User-Id") == ["5f1d7a84db00c2fe7d8ecc5f"]
    assert seen.all("X-Tenant-Id") == ["acme"]
    assert seen.all("X-User-Roles") == ["Admin,authentik Admins"]
    assert seen.all("X-User-Email") == ["kim@acme.example.com"]
    assert seen.all("X-User-Name") == ["Kim M%C3%BCller"]
    assert seen.header("Authorization") is None
    assert issuer.asked == [issuer.jwks_uri.removeprefix(f"http://127.0.0.1:{issuer.port}")]


@pytest.mark.parametrize(
    ("claims", "tenant", "name"),
    [
        ({"tenant_id": "globex"}, ["globex"], "Kim M%C3%BCller"),
        ({"tenant_id": ""}, ["acme"], "Kim M%C3%BCller"),
        ({"name": None}, ["acme"], "kim"),
        ({"name": ""}, ["acme"], "kim"),
        ({"ak_tenant": None}, [], "Kim M%C3%BCller"),
    ],
)
async def test_of_two_names_of_a_claim_the_first_counts(
    door: Gateway,
    upstream: RecordingUpstream,
    issuer: KeyServer,
    claims: dict[str, Any],
    tenant: list[str],
    name: str,
) -> None:
    assert (await door.get(CRM, bearer(shaped(issuer, **claims)))).status == 200
    assert upstream.last.all("X-Tenant-Id") == tenant
    assert upstream.last.all("X-User-Name") == [name]


@pytest.mark.parametrize("role", ["Super Admin", "super admin", "SUPER ADMIN"])
async def test_roles_are_compared_in_any_case(
    door: Gateway, upstream: RecordingUpstream, issuer: KeyServer, role: str
) -> None:
    path = f"{CRM.rpartition('/')[0]}/admin/users"
    assert (await door.get(path, bearer(shaped(issuer, groups=[role])))).status == 200
    refused = await door.get(path, bearer(shaped(issuer, groups=["Admin", "Superadmin"])))
    assert told(refused) == (403, "role_missing")
    assert len(upstream.seen) == 1


async def test_tokens_of_the_old_gateway_are_taken_as_its_own_alone(
    door: Gateway, upstream: RecordingUpstream, issuer: KeyServer
) -> None:
    now = int(time.time())
    claims = {"iss": OLD, "aud": "brain", "sub": "kim", "exp": now + 3600, "tenant_id": "acme"}
    good = by_shared({"alg": "HS256", "typ": "JWT"}, claims, SECRET.encode())
    assert (await door.get(CRM, bearer(good))).status == 200
    assert upstream.last.all("X-Tenant-Id") == ["acme"]
    as_authentik = by_shared({"alg": "HS256"}, {**claims, "iss": issuer.issuer}, SECRET.encode())
    assert told(await door.get(CRM, bearer(as_authentik))) == (401, "token_invalid")
    ended = by_shared({"alg": "HS256"}, {**claims, "exp": now - 3600}, SECRET.encode())
    assert told(await door.get(CRM, bearer(ended))) == (401, "token_expired")


async def test_another_algorithm_than_authentiks_is_refused(
    door: Gateway, upstream: RecordingUpstream, issuer: KeyServer
) -> None:
    issuer.keys = [rsa("one"), ec("curve")]
    reply = await door.get(CRM, bearer(shaped(issuer, key=ec("curve"))))
    assert told(reply) == (401, "token_invalid")
    assert upstream.seen == []


# -- what is not said to be public asks who calls


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CRM, []),
        ("/api/brain/django-crm", []),
        ("/api/brain/django-crm/", []),
        ("/api/brain/agents/chat", []),
        ("/graphql", []),
        (
            "/api/brain/agents/chat/ws/1",
            [
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ],
        ),
    ],
)
async def test_nobody_gets_in_unknown(
    door: Gateway, upstream: RecordingUpstream, path: str, more: list[str]
) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        if more and method != "GET":
            continue
        reply = await door.get(path, *more, method=method)
        assert reply.status == 401, method
        assert reply.header("WWW-Authenticate") == 'Bearer realm="brain"'
        assert 'details="credentials_missing"' in (reply.header("Proxy-Status") or "")
    assert upstream.seen == []


async def test_no_switch_makes_everybody_an_administrator(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer
) -> None:
    door = await gateway(
        f"""
        version: 1
        plugins:
          - jwt: {{profile: authentik, issuer: "{issuer.issuer}", audience: brain}}
        services: {{django-crm: "{upstream.url}"}}
        """,
        DISABLE_AUTH="true",
        BRAIN_DISABLE_AUTH="true",
    )
    for header in ("X-Disable-Auth: true", "X-User-Roles: Super Admin", "X-User-Id: root"):
        assert told(await door.get(CRM, header)) == (401, "credentials_missing")
    assert upstream.seen == []


async def test_a_service_that_asks_nobody_is_refused_at_load(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    with pytest.raises(InvalidConfig, match="lets anyone in"):
        await gateway(f'version: 1\nservices:\n  django-crm: "{upstream.url}"\n')


# -- who somebody is, is said by the token alone


@pytest.mark.parametrize("name", ["X-Tenant-Id", "x-tenant-id", "X-TENANT-ID", "X_Tenant_Id"])
@pytest.mark.parametrize("tenant", ["acme", None])
async def test_a_tenant_that_the_client_names_is_not_believed(
    door: Gateway,
    upstream: RecordingUpstream,
    issuer: KeyServer,
    name: str,
    tenant: str | None,
) -> None:
    spoofed = [f"{name}: globex", "X-User-Id: root", "X-User-Roles: Super Admin"]
    sent = bearer(shaped(issuer, ak_tenant=tenant))
    assert (await door.get(f"{CRM}?tenant_id=globex", sent, *spoofed)).status == 200
    seen = upstream.last
    assert seen.all("X-Tenant-Id") == ([tenant] if tenant else [])
    assert seen.all("X-User-Id") == ["5f1d7a84db00c2fe7d8ecc5f"]
    assert seen.all("X-User-Roles") == ["Admin,authentik Admins"]
    assert b"globex" not in re.sub(rb"^[^\r]*", b"", seen.raw_head)
    assert (await door.get(CMS, *spoofed)).status == 200
    assert upstream.last.all("X-Tenant-Id") == upstream.last.all("X-User-Id") == []
    assert b"globex" not in upstream.last.raw_head


async def test_there_is_no_default_tenant(
    door: Gateway, upstream: RecordingUpstream, issuer: KeyServer
) -> None:
    sent = bearer(shaped(issuer, ak_tenant=None))
    reply = await door.get("/api/brain/agents/chat?tenant_id=acme", sent, "X-Tenant-Id: acme")
    assert told(reply) == (403, "access_denied")
    empty = await door.get("/api/brain/agents/chat", bearer(shaped(issuer, ak_tenant="")))
    assert told(empty) == (403, "access_denied")
    for odd in (["acme"], 7, True, {"acme": 1}):
        refused = await door.get("/api/brain/agents/chat", bearer(shaped(issuer, ak_tenant=odd)))
        assert told(refused) == (401, "token_invalid")
    assert upstream.seen == []


# -- one table of paths


@pytest.mark.parametrize(
    "path",
    [
        "/api/django-crm/contacts",
        "/django-crm/contacts",
        "/api/brain/django-crmx/contacts",
        "/API/BRAIN/django-crm/contacts",
    ],
)
async def test_another_prefix_is_no_other_door(
    door: Gateway, upstream: RecordingUpstream, issuer: KeyServer, path: str
) -> None:
    for headers in ([], [bearer(shaped(issuer))]):
        assert told(await door.get(path, *headers)) == (404, "no_route")
    assert upstream.seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/brain/wagtail/../django-crm/contacts",
        "/api/brain/wagtail/%2e%2e/django-crm/contacts",
        "/api/brain/wagtail/..%2fdjango-crm/contacts",
        "/api/brain/wagtail/..;/django-crm/contacts",
        "/api/brain//django-crm/contacts",
        "/api/brain/%64jango-crm/contacts",
        "/api/brain/django%2Dcrm/admin/users",
    ],
)
async def test_no_spelling_of_a_path_leads_around_the_question(
    door: Gateway, upstream: RecordingUpstream, path: str
) -> None:
    reply = await door.get(path)
    assert reply.status in (400, 401)
    assert upstream.seen == []


# -- the audience, and keys that keep nobody waiting


@pytest.mark.parametrize(
    "audience", ["", "audience: ''", "audience: []", 'audience: "${BRAIN_AUDIENCE:-}"']
)
async def test_without_an_audience_nothing_is_loaded(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer, audience: str
) -> None:
    lines = f'profile: authentik, issuer: "{issuer.issuer}", {audience}'
    with pytest.raises(InvalidConfig) as refused:
        await gateway(
            f"""
            version: 1
            plugins: [{{jwt: {{{lines}}}}}]
            services: {{django-crm: "{upstream.url}"}}
            """
        )
    assert "audience" in str(refused.value)
    assert issuer.asked == []


async def test_others_are_served_while_the_keys_hang(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    issuer: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.plugin.http.TIMEOUT", 1.0)
    issuer.answers["jwks"] = keykit.hang
    began = time.monotonic()
    door = await gateway(
        f"""
        version: 1
        services:
          django-crm:
            upstream: "{upstream.url}"
            plugins: [{{jwt: {{profile: authentik, issuer: "{issuer.issuer}", audience: brain}}}}]
          wagtail: {{upstream: "{upstream.url}", public: true}}
        """
    )
    callers = [
        asyncio.ensure_future(door.get(CRM, bearer(shaped(issuer, jti=str(number)))))
        for number in range(20)
    ]
    slowest, served = 0.0, 0
    while time.monotonic() - began < 0.7:
        asked = time.perf_counter()
        assert (await door.get(CMS)).status == 200
        assert told(await door.get(CRM)) == (401, "credentials_missing")
        slowest, served = max(slowest, time.perf_counter() - asked), served + 1
    assert served > 3
    assert slowest < 0.4
    # Who came with a token has waited for the first answer, and then nobody waits any more.
    assert {told(reply) for reply in await asyncio.gather(*callers)} == {(503, "keys_unavailable")}
    asked = time.perf_counter()
    assert told(await door.get(CRM, bearer(shaped(issuer)))) == (503, "keys_unavailable")
    assert time.perf_counter() - asked < 0.4
    assert len(upstream.seen) == served
