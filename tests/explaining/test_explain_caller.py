"""Claims and tokens: what makes a principal of them, and what is refused without being repeated."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from proxy.explaining.caller import claims_of, payload_of, stand_in
from proxy.plugin.claims import principal_of


def token(payload: bytes) -> str:
    return f"eyJhbGciOiJSUzI1NiJ9.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    ("claims", "subject", "tenant", "roles", "scopes"),
    [
        ({"sub": "ada"}, "ada", None, [], []),
        ({"subject": "ada", "tenant_id": "acme"}, "ada", "acme", [], []),
        ({"sub": "ada", "tenant": "a", "tenant_id": "b"}, "ada", "a", [], []),
        ({"sub": "ada", "roles": ["x"], "groups": ["y", "x"]}, "ada", None, ["x", "y"], []),
        ({"sub": "ada", "scope": "r w", "scopes": ["d"]}, "ada", None, [], ["d", "r", "w"]),
        ({"sub": "ada", "roles": "x", "tenant": None, "groups": None}, "ada", None, ["x"], []),
    ],
)
def test_claims_make_a_principal(
    claims: dict[str, Any],
    subject: str,
    tenant: str | None,
    roles: list[str],
    scopes: list[str],
) -> None:
    made = principal_of(claims, "jwt")
    assert (made.subject, made.tenant, made.by) == (subject, tenant, "jwt")
    assert (sorted(made.roles), sorted(made.scopes)) == (roles, scopes)
    assert made.claims == claims


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({}, "need 'sub'"),
        ({"sub": ""}, "'sub' must be a text"),
        ({"sub": 7}, "'sub' must be a text"),
        ({"sub": "a", "tenant": ["b"]}, "'tenant' must be a text"),
        ({"sub": "a", "roles": {"b": 1}}, "'roles' must be"),
        ({"sub": "a", "scopes": [1]}, "'scopes' must be"),
    ],
)
def test_claims_of_another_kind_are_refused(claims: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        principal_of(claims)


def test_a_tokens_payload_is_read_and_its_signature_is_not() -> None:
    claims = {"sub": "ada", "ü": "ÿ?>"}
    made = token(json.dumps(claims, ensure_ascii=False).encode())
    assert payload_of(made) == claims
    assert payload_of(f" Bearer {made}\n") == claims


@pytest.mark.parametrize(
    "text",
    [
        "secret-token",
        "a.b",
        "a.b.c.d.e",
        "secret.\u00fc.x",
        token(b"secret"),
        token(b"[1]"),
        token(b"\xff"),
    ],
)
def test_what_is_no_token_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        payload_of(text)
    assert not any(part in str(refused.value) for part in text.split(".") if len(part) > 1)


@pytest.mark.parametrize("text", ["", "[]", "{", "7", "[" * 100_000])
def test_claims_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="claims"):
        claims_of(text)


def test_marks_stand_in_for_what_is_not_known() -> None:
    names = [
        "principal.subject",
        "principal.roles",
        "claims.org.id",
        "claims.org.name",
        "request.id",
    ]
    principal, marks = stand_in(names)
    by_name = {name: mark for mark, name in marks.items()}
    assert principal.subject == by_name["${principal.subject}"]
    assert principal.roles == {by_name["${principal.roles}"]}
    assert principal.claims["org"] == {
        "id": by_name["${claims.org.id}"],
        "name": by_name["${claims.org.name}"],
    }
    assert len(marks) == 4
    assert all(mark.isalnum() for mark in marks)
