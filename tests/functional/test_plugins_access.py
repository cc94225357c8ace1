"""authorize, identity-headers and ip-filter on a real gateway (identity.md, "Who may call")."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from aiohttp import web

from proxy import Authenticator, Principal, Unauthenticated
from proxy.config.load import InvalidConfig
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply

HERE = "tests.functional.test_plugins_access"


class Unsigned(Authenticator):
    """Believes the claims of a Bearer token as they stand: what follows is what is tested here."""

    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}
    protects_schemes = frozenset({"bearer"})

    def authenticate(self, request: web.BaseRequest) -> Principal | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return self.principal_of(json.loads(base64.urlsafe_b64decode(token)))
        except ValueError:
            raise Unauthenticated(log="no claims") from None

    def challenge(self) -> str:
        return 'Bearer realm="brain"'


def bearer(**claims: Any) -> str:
    token = base64.urlsafe_b64encode(json.dumps({"sub": "ada", **claims}).encode()).decode()
    return f"Authorization: Bearer {token}"


def code_of(reply: Reply) -> str | None:
    return None if reply.status < 400 else json.loads(reply.body)["code"]


# -- authorize


async def authorizing(gateway: MakeGateway, url: str, allow: str, more: str = "") -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins:
          - cors: {{origins: ["https://app.example.com"]}}
          - use: {HERE}:Unsigned
            as: tokens
          - authorize:
              allow: {allow}
          - identity-headers
        services:
          crm:
            upstream: "{url}"
            routes:
              - match: {{path: "/tenants/{{tenant}}/*"}}
                plugins: [{{authorize: {{allow: [{{tenant: {{equals: "${{request.path.tenant}}"}}}}]}}}}]
              - match: {{path: /optional/*}}
                public: optional
              {more}
        """
    )


RULES = '[{methods: [GET], scopes: ["crm:read"]}, {roles: [Admin], claims: {plan: [pro, team]}}]'


@pytest.mark.parametrize(
    ("method", "claims", "code"),
    [
        ("GET", {"scope": "crm:read"}, None),
        ("HEAD", {"scope": "crm:read"}, None),
        ("DELETE", {"roles": ["ADMIN"], "plan": "pro"}, None),
        ("POST", {"scope": "crm:read"}, "access_denied"),
        ("POST", {"plan": "team"}, "role_missing"),
        ("GET", {}, "scope_missing"),
        ("GET", {"scope": "crm:readonly"}, "scope_missing"),
        ("DELETE", {"roles": ["admin"], "plan": "free"}, "access_denied"),
        ("OPTIONS", {"scope": "crm:read"}, "access_denied"),
    ],
)
async def test_what_no_rule_admits_reaches_no_upstream(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    method: str,
    claims: Any,
    code: str | None,
) -> None:
    running = await authorizing(gateway, upstream.url, RULES)
    reply = await running.get("/api/brain/crm/x", bearer(**claims), method=method)
    if method != "HEAD":
        assert code_of(reply) == code
    assert reply.status == (200 if code is None else 403)
    assert len(upstream.seen) == (1 if code is None else 0)
    if code is not None:
        assert f'details="{code}"' in (reply.header("Proxy-Status") or "")
        assert b"admin" not in reply.body.lower()


async def test_a_missing_scope_is_named_as_rfc_6750_has_it_and_a_page_may_read_it(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await authorizing(gateway, upstream.url, RULES)
    reply = await running.get("/api/brain/crm/x", bearer(), "Origin: https://app.example.com")
    assert reply.all("WWW-Authenticate") == [
        'Bearer realm="brain", error="insufficient_scope", scope="crm:read"'
    ]
    assert reply.header("Access-Control-Allow-Origin") == "https://app.example.com"
    assert "WWW-Authenticate" in (reply.header("Access-Control-Expose-Headers") or "")


async def test_a_preflight_is_answered_before_anybody_is_authorized(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await authorizing(gateway, upstream.url, '[{roles: ["nobody"]}]')
    asked = ("Origin: https://app.example.com", "Access-Control-Request-Method: DELETE")
    reply = await running.get("/api/brain/crm/x", *asked, method="OPTIONS")
    assert reply.status == 204
    reply = await running.get("/api/brain/crm/x", asked[1], bearer(), method="OPTIONS")
    assert (reply.status, code_of(reply)) == (403, "role_missing"), "no preflight without an origin"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tenants/acme/x", 200),
        ("/tenants/%61cme/x", 200),
        ("/tenants/other/x", 403),
        ("/tenants/ACME/x", 403),
        ("/tenants/acme%00/x", 400),
        ("/tenants/acme/../other/x", 400),
        ("/tenants/acme%2F..%2Fother/x", 400),
        ("/tenants/acme%252F..%252Fother/x", 403),
        ("/tenants/acme;other/x", 403),
        ("/tenants/%20acme/x", 403),
    ],
)
async def test_a_tenants_path_is_reached_by_its_own_tenant_alone(
    gateway: MakeGateway, upstream: RecordingUpstream, path: str, status: int
) -> None:
    running = await authorizing(gateway, upstream.url, "[{}]")
    reply = await running.get(f"/api/brain/crm{path}", bearer(tenant="acme"))
    assert reply.status == status
    assert len(upstream.seen) == (1 if status == 200 else 0)
    if status == 200:
        assert upstream.last.header("X-Tenant-Id") == "acme"


@pytest.mark.parametrize("claims", [{}, {"tenant": "other"}])
async def test_nobody_elses_headers_or_query_make_a_tenant(
    gateway: MakeGateway, upstream: RecordingUpstream, claims: Any
) -> None:
    running = await authorizing(gateway, upstream.url, "[{}]")
    for sent in (
        "X-Tenant-Id: acme",
        "X-Tenant-ID: acme",
        "X_Tenant_Id: acme",
        "x-tenant_id: acme",
    ):
        reply = await running.get(
            "/api/brain/crm/tenants/acme/x?tenant_id=acme&tenant=acme", bearer(**claims), sent
        )
        assert (reply.status, code_of(reply)) == (403, "access_denied")
    assert upstream.seen == []


async def test_who_is_not_known_is_asked_who_he_is_unless_a_rule_is_for_anyone(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    allow = "[{methods: [GET], anonymous: true}, {roles: [admin]}]"
    running = await authorizing(gateway, upstream.url, allow)
    assert (await running.get("/api/brain/crm/optional/x")).status == 200
    reply = await running.get("/api/brain/crm/optional/x", method="DELETE")
    assert (reply.status, code_of(reply)) == (401, "credentials_missing")
    assert reply.all("WWW-Authenticate") == ['Bearer realm="brain"']
    reply = await running.get("/api/brain/crm/optional/x", bearer(), method="DELETE")
    assert (reply.status, code_of(reply)) == (403, "role_missing")
    reply = await running.get("/api/brain/crm/optional/x", "Authorization: Bearer %")
    assert reply.status == 401, "a bad credential is no missing one"
    assert len(upstream.seen) == 1


async def test_a_method_is_not_overridden_by_a_header(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    allow = "[{methods: [POST]}, {roles: [admin]}]"
    running = await authorizing(
        gateway, upstream.url, allow, "- {match: {path: /open/*}, public: true, skip: [authorize]}"
    )
    overrides = [f"{name}: DELETE" for name in ("X-HTTP-Method-Override", "X_HTTP_Method_Override")]
    for path, credential in (("x", [bearer()]), ("open/x", [])):
        await running.get(f"/api/brain/crm/{path}", *overrides, *credential, method="POST")
        assert not [name for name, _ in upstream.last.fields if "ethod" in name]


async def test_a_public_route_with_rules_for_known_callers_refuses_the_load(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    more = "- {match: {path: /open/*}, public: true}"
    with pytest.raises(InvalidConfig, match="'authorize' needs to know who calls"):
        await authorizing(gateway, upstream.url, RULES, more)
    allow = "[{methods: [GET], anonymous: true}, {roles: [admin]}]"
    running = await authorizing(gateway, upstream.url, allow, more)
    assert (await running.get("/api/brain/crm/open/x")).status == 200
    reply = await running.get("/api/brain/crm/open/x", method="POST")
    assert (reply.status, code_of(reply)) == (401, "credentials_missing")


# -- identity-headers

SPOOFED = [
    *("X-User-Id: root", "x-user-id: root", "X-User-Roles: admin", "X-USER-EMAIL: root@x.example"),
    *("X-Tenant-Id: other", "X_Tenant_Id: other", "x-tenant_id: other", "X_User_Id: root"),
    *("X-User-Anything: x", "X-Tenant-Plan: pro", "X-Auth-Request-User: root", "X-Plan: pro"),
    *("X_Plan: pro", "x-plan: pro", "X-Forwarded-User: root"),
]


async def telling(gateway: MakeGateway, url: str, more: str = "") -> Gateway:
    return await gateway(
        f"""
        version: 1
        plugins:
          - use: {HERE}:Unsigned
            as: tokens
          - identity-headers:
              max_length: 64B
              headers:
                X-User-Id: "${{principal.subject}}"
                X-Tenant-Id: "${{principal.tenant}}"
                X-User-Roles: "${{principal.roles}}"
                X-Plan: "${{claims.plan}}"
        services:
          crm:
            upstream: "{url}"
            {more}
            routes:
              - match: {{path: /public/*}}
                public: true
              - match: {{path: /optional/*}}
                public: optional
              - match: {{path: /bare/*}}
                public: true
                skip: [identity-headers]
        """
    )


TOLD = ("x-user", "x-tenant", "x-auth", "x-plan", "x-forwarded-user")


def told(upstream: RecordingUpstream) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in upstream.last.fields
        if name.lower().replace("_", "-").startswith(TOLD)
    ]


@pytest.mark.parametrize("more", ["", "allow_underscore_headers: true", "forward_token: true"])
async def test_what_a_client_says_of_himself_never_reaches_an_upstream(
    gateway: MakeGateway, upstream: RecordingUpstream, more: str
) -> None:
    running = await telling(gateway, upstream.url, more)
    known = [("X-User-Id", "ada"), ("X-Tenant-Id", "acme"), ("X-User-Roles", "a,b")]
    for _ in range(2):
        for path, credential, found in [
            ("x", [bearer(tenant="acme", roles=["b", "a"])], known),
            ("optional/x", [bearer(tenant="acme", roles=["b", "a"])], known),
            ("x", [bearer()], [("X-User-Id", "ada")]),
            ("optional/x", [], []),
            ("public/x", [], []),
            ("public/x", [bearer(tenant="acme")], []),
            ("bare/x", [], []),
        ]:
            reply = await running.get(f"/api/brain/crm/{path}", *SPOOFED, *credential)
            assert reply.status == 200
            assert told(upstream) == found


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"plan": "pro"}, 200),
        ({"plan": "a\r\nX-User-Id: root"}, 403),
        ({"plan": "a\nb"}, 403),
        ({"plan": "a\0"}, 403),
        ({"plan": "x" * 65}, 403),
        ({"sub": "ada\r\n"}, 403),
        ({"roles": ["a\r\nb"]}, 403),
    ],
)
async def test_a_claim_that_may_not_stand_in_a_header_is_refused(
    gateway: MakeGateway, upstream: RecordingUpstream, claims: Any, status: int
) -> None:
    running = await telling(gateway, upstream.url)
    reply = await running.get("/api/brain/crm/x", bearer(**claims))
    assert reply.status == status
    if status == 403:
        assert code_of(reply) == "claim_invalid"
        assert upstream.seen == []


async def test_what_is_not_ascii_arrives_so_that_decoding_gives_it_back(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await telling(gateway, upstream.url)
    await running.get("/api/brain/crm/x", bearer(sub=" Jos\u00e9%", roles=["x,admin"]))
    assert told(upstream) == [("X-User-Id", "%20Jos%C3%A9%25"), ("X-User-Roles", "x%2Cadmin")]
    assert b" %20Jos" in upstream.last.raw_head


# -- ip-filter


async def filtering(gateway: MakeGateway, url: str, options: str, trusted: str = "") -> Gateway:
    return await gateway(
        f"""
        version: 1
        gateway: {{trusted_proxies: [{trusted}]}}
        plugins: [{{ip-filter: {options}}}]
        services:
          crm: {{upstream: "{url}", public: true}}
        """,
        OFFICE="127.0.0.2, 192.0.2.0/24",
    )


OTHERS_WORDS = [
    ("X-Forwarded-For: 192.0.2.7",),
    ("X-Forwarded-For: 192.0.2.7, 192.0.2.8",),
    ("Forwarded: for=192.0.2.7",),
    ("X-Real-IP: 192.0.2.7", "True-Client-IP: 192.0.2.7", "CF-Connecting-IP: 192.0.2.7"),
    ("X_Forwarded_For: 192.0.2.7",),
]


@pytest.mark.parametrize("sent", OTHERS_WORDS)
async def test_a_client_can_not_say_where_he_comes_from(
    gateway: MakeGateway, upstream: RecordingUpstream, sent: tuple[str, ...]
) -> None:
    running = await filtering(gateway, upstream.url, "{allow: [192.0.2.0/24]}")
    reply = await running.get("/api/brain/crm/x", *sent)
    assert (reply.status, code_of(reply)) == (403, "address_refused")
    assert 'details="address_refused"' in (reply.header("Proxy-Status") or "")
    assert upstream.seen == []
    assert (await running.get("/nowhere", *sent)).status == 403, "nobody learns what is served"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("X-Forwarded-For: 192.0.2.7", 200),
        ("X-Forwarded-For: ::ffff:192.0.2.7", 200),
        ("X-Forwarded-For: 6.6.6.6, 192.0.2.7", 200),
        ("X-Forwarded-For: 192.0.2.7, 6.6.6.6", 403),
        ("X-Forwarded-For: 192.0.2.66", 403),
        ("X-Forwarded-For: ::ffff:192.0.2.66", 403),
        ("X-Forwarded-For: ::ffff:c000:242", 403),
        ("X-Forwarded-For: 192.0.2.7, 2001:db8::1", 403),
        ("X-Forwarded-For: 192.0.2.7, unknown", 403),
        ('Forwarded: for="[::ffff:192.0.2.66]:80"', 403),
        ("Forwarded: for=192.0.2.7:1234", 200),
        ("X-Other: 1", 403),
    ],
)
async def test_a_trusted_proxy_says_where_a_client_comes_from(
    gateway: MakeGateway, upstream: RecordingUpstream, sent: str, status: int
) -> None:
    options = "{allow: [192.0.2.0/24], deny: [192.0.2.66]}"
    running = await filtering(gateway, upstream.url, options, "127.0.0.1")
    for _ in range(2):
        assert (await running.get("/api/brain/crm/x", sent)).status == status


async def test_lists_come_from_the_environment(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await filtering(gateway, upstream.url, '{allow: "${OFFICE}"}')
    assert (await running.get("/api/brain/crm/x")).status == 403
    client = await running.client(local_addr=("127.0.0.2", 0))
    client.send(b"GET /api/brain/crm/x HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await client.reply()).status == 200
