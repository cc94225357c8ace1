"""Whether a caller would be let in, and what the upstream would be told of him."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from aiohttp import web

from proxy import Authenticator, Principal
from tests.explaining.kit import Asked

HERE = "tests.explaining.test_explain_access"

FILE = f"""
    version: 1
    plugins:
      - ip-filter: {{deny: [192.0.2.0/24]}}
      - api-key: {{keys: [{{name: ada, sha256: "{"0" * 64}"}}]}}
      - use: {HERE}:Mapped
        as: mapped
      - authorize:
          allow:
            - {{methods: [GET], scopes: ["crm:read"]}}
            - {{roles: [admin], claims: {{plan: pro}}}}
      - identity-headers
    services:
      crm:
        upstream: http://crm
        routes:
          - {{match: {{path: /optional/*}}, public: optional}}
          - match: {{path: "/of/{{tenant}}/*"}}
            plugins:
              - authorize:
                  allow: [{{tenant: {{equals: "${{request.path.tenant}}"}}}}]
"""


class Mapped(Authenticator):
    """Reads claims in a way of its own, as a profile of an identity provider does."""

    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}

    async def authenticate(self, request: web.BaseRequest) -> Principal | None:
        raise AssertionError("nobody is asked here")

    def principal_of(self, claims: Mapping[str, Any]) -> Principal:
        if "uid" not in claims:
            raise ValueError("the claims need 'uid'")
        scopes, roles = claims.get("scope", "").split(), claims.get("ak_groups", ())
        return Principal(
            claims["uid"], claims.get("ak_tenant"), frozenset(scopes), frozenset(roles), claims
        )


@pytest.fixture
def of_crm(of: Callable[..., Asked]) -> Asked:
    return of(FILE)


def lines(told: Mapping[str, Any], identity: str) -> list[str]:
    (step,) = [step for step in told["chain"] if step["identity"] == identity]
    assert step["error"] is None
    explained: list[str] = step["explains"]
    return explained


@pytest.mark.parametrize(
    ("asked_for", "claims", "verdict"),
    [
        ("GET /api/brain/crm/x", {"scope": "crm:read"}, "would pass by rule 1"),
        ("PUT /api/brain/crm/x", {"plan": "pro"}, "would be refused with 403 role_missing"),
        ("GET /api/brain/crm/x", {"plan": "pro"}, "would be refused with 403 scope_missing"),
        ("DELETE /api/brain/crm/x", {"scope": "crm:read"}, "would be refused with 403"),
        ("POST /api/brain/crm/x", {"ak_groups": ["Admin"], "plan": "pro"}, "would pass by rule 2"),
        ("GET /api/brain/crm/of/acme/x", {"ak_tenant": "acme"}, "would pass by rule 1"),
        ("GET /api/brain/crm/of/b/x", {"ak_tenant": "acme"}, "refused with 403 access_denied"),
    ],
)
async def test_the_verdict_of_authorize_is_told(
    of_crm: Asked, asked_for: str, claims: Mapping[str, Any], verdict: str
) -> None:
    told = await of_crm.told(asked_for, claims={"uid": "ada", **claims})
    assert verdict in lines(told, "authorize")[-1]


async def test_without_claims_the_verdict_is_that_on_somebody_who_is_not_known(
    of_crm: Asked,
) -> None:
    told = await of_crm.told("GET /api/brain/crm/optional/x")
    assert lines(told, "authorize")[-1] == (
        "who is not known would be refused with 401 credentials_missing"
    )


async def test_the_headers_that_the_upstream_would_get_are_told(of_crm: Asked) -> None:
    claims = {"uid": "ada", "ak_tenant": "acme", "ak_groups": ["b", "a"], "name": "Ada\u00e9"}
    told = await of_crm.told("GET /api/brain/crm/x", claims=claims)
    assert lines(told, "identity-headers") == [
        "X-User-Id: ada",
        "X-Tenant-Id: acme",
        "X-User-Roles: a,b",
        "X-User-Name: Ada%C3%A9",
        "not sent, for want of a value: X-User-Email",
    ]


async def test_the_authenticator_that_reads_claims_itself_says_whom_they_mean(
    of_crm: Asked,
) -> None:
    told = await of_crm.told("GET /api/brain/crm/x", claims={"uid": "ada", "sub": "other"})
    assert (told["caller"]["subject"], told["caller"]["by"]) == ("ada", "mapped")
    asking = [step["identity"] for step in told["chain"] if step["authenticator"]]
    assert asking == ["api-key", "mapped"]
    with pytest.raises(ValueError, match="'uid'"):
        await of_crm.told("GET /api/brain/crm/x", claims={"sub": "ada"})


async def test_the_address_is_judged_as_well(of_crm: Asked) -> None:
    for address, verdict in [("192.0.2.7", "is refused with 403"), ("198.51.100.1", "may call")]:
        told = await of_crm.told("GET /api/brain/crm/x", address=address)
        assert verdict in lines(told, "ip-filter")[-1]
