"""Callers that `cache` tells apart though their names are the same."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from cache_kit import ALICE, Caching, body_of, status_of
from multidict import CIMultiDict
from plugin_kit import Kit, request_of

from plugins.cache.streams import STREAMING
from plugins.compress import media
from proxy import EXCHANGE, Principal

OPTIONS = {"credentials": ["X-Own-Token"]}
PLAIN = "Cache-Control: max-age=60"

# -- credentials beside a principal


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-Own-Token"])
@pytest.mark.parametrize("control", ["max-age=60", "s-maxage=60", "max-age=60, must-revalidate"])
async def test_a_principal_with_other_credentials_gets_its_own_answer(
    kit: Kit, name: str, control: str
) -> None:
    caching = await Caching.begin(kit, f"Cache-Control: {control}", **OPTIONS)
    sent: list[dict[str, str]] = [{}, {name: "one"}, {name: "two"}]
    for fields in sent:
        caching.upstream.body = repr(fields).encode()
        first = await caching.ask(principal=ALICE, sent_on=fields)
        assert status_of(first) == "fwd=uri-miss; stored; ttl=60"
    for fields in sent:
        again = await caching.ask(principal=ALICE, sent_on=fields)
        assert (status_of(again), body_of(again)) == ("hit; ttl=60", repr(fields).encode())
    assert status_of(await caching.ask(sent_on={name: "one"})).startswith("fwd=uri-miss")


async def test_credentials_are_told_apart_by_their_fields_and_their_order(kit: Kit) -> None:
    caching = await Caching.begin(kit, PLAIN, **OPTIONS)
    sent = [
        [("Cookie", "a"), ("Cookie", "b")],
        [("Cookie", "b"), ("Cookie", "a")],
        [("Cookie", "a, b")],
        [("Authorization", "a"), ("Cookie", "b")],
        [("Authorization", "b"), ("Cookie", "a")],
        [("X-Own-Token", "a6 cookie 1 b")],
    ]
    for result in ("fwd=uri-miss", "hit"):
        for pairs in sent:
            request = request_of()
            for name, value in pairs:
                request[EXCHANGE].outgoing.add_header(name, value)
            request[EXCHANGE].principal = ALICE
            answer = await caching.plugin(request, caching.upstream)
            assert status_of(answer).partition(";")[0] == result, pairs


async def test_a_credential_that_an_authenticator_took_off_is_not_the_upstreams(kit: Kit) -> None:
    caching = await Caching.begin(kit, PLAIN)
    for key, result in (("one", "fwd=uri-miss"), ("two", "hit")):
        headers = CIMultiDict({"X-Api-Key": key})
        answer = await caching.ask(principal=ALICE, headers=headers)
        assert status_of(answer).partition(";")[0] == result


async def test_what_is_public_is_shared_whatever_credentials_say(kit: Kit) -> None:
    caching = await Caching.begin(kit, "Cache-Control: public, max-age=60")
    await caching.ask(principal=ALICE, sent_on={"Authorization": "Bearer one"})
    other = await caching.ask(principal=ALICE, sent_on={"Authorization": "Bearer two"})
    assert status_of(other) == "hit; ttl=60"


# -- what a principal may do

RIGHTS: list[dict[str, Any]] = [
    {},
    {"roles": frozenset({"admin"})},
    {"roles": frozenset({"admin", "editor"})},
    {"scopes": frozenset({"admin"})},
    {"claims": {"org": "one"}},
    {"claims": MappingProxyType({"org": "two"})},
    {"claims": {"org": {"name": ["one", 1, None]}}},
    {"claims": {"org": {"name": ["one", True, None]}}},
]


async def test_a_subject_with_other_roles_scopes_or_claims_gets_its_own_answer(kit: Kit) -> None:
    caching = await Caching.begin(kit, PLAIN)
    for result in ("fwd=uri-miss", "hit"):
        for rights in RIGHTS:
            answer = await caching.ask(principal=replace(ALICE, **rights))
            assert status_of(answer).partition(";")[0] == result, rights


async def test_the_order_in_which_claims_and_roles_come_is_no_matter(kit: Kit) -> None:
    caching = await Caching.begin(kit, PLAIN)
    names = [f"role-{number}" for number in range(20)]
    for order, result in ((names, "fwd=uri-miss"), (names[::-1], "hit")):
        claims = dict.fromkeys(order, MappingProxyType({"of": frozenset(order)}))
        principal = replace(ALICE, roles=frozenset(order), claims=claims)
        assert status_of(await caching.ask(principal=principal)).partition(";")[0] == result


async def test_claims_that_change_in_place_are_other_claims(kit: Kit) -> None:
    caching = await Caching.begin(kit, PLAIN)
    claims = {"org": "one"}
    principal = replace(ALICE, claims=claims)
    await caching.ask(principal=principal)
    claims["org"] = "two"
    assert status_of(await caching.ask(principal=principal)).startswith("fwd=uri-miss")


def _endless() -> dict[str, Any]:
    claims: dict[str, Any] = {}
    claims["again"] = claims
    return claims


@pytest.mark.parametrize(
    "claims", [{"own": object()}, {1: "a", "b": 2}, _endless()], ids=["object", "keys", "endless"]
)
async def test_claims_that_cannot_be_compared_get_and_leave_only_what_is_public(
    kit: Kit, claims: dict[Any, Any]
) -> None:
    caching = await Caching.begin(kit, PLAIN)
    principal = replace(ALICE, claims=claims)
    for _ in range(2):
        assert status_of(await caching.ask(principal=principal)) == "fwd=uri-miss"
    caching.upstream.fields = ["Cache-Control: public, max-age=60"]
    await caching.ask(principal=principal)
    assert status_of(await caching.ask(principal=principal)) == "hit; ttl=60"


# -- what is said of it


@pytest.mark.parametrize(
    ("principal", "sent", "said"),
    [
        (ALICE, {}, "keeps it for this caller with these roles, scopes and claims, for everyone"),
        (ALICE, {"Cookie": "a=1"}, "and the credentials that the upstream sees, for everyone"),
        (replace(ALICE, claims={"own": object()}), {}, "for nobody, since claims that are no JSON"),
        (None, {"X-Own-Token": "x"}, "for nobody, since no authenticator"),
    ],
)
async def test_it_says_for_whom_it_keeps(
    kit: Kit, principal: Principal | None, sent: dict[str, str], said: str
) -> None:
    caching = await Caching.begin(kit, PLAIN, **OPTIONS)
    exchange = request_of(sent_on=sent)[EXCHANGE]
    exchange.principal = principal
    line = caching.plugin.explain(exchange)[1]
    assert said in line
    assert line.endswith("where the upstream says public")


# -- streams


@pytest.mark.parametrize("kind", sorted({*media.STREAMING, "application/grpc+proto"}))
async def test_a_stream_is_not_stored_and_nobody_waits_for_one(kit: Kit, kind: str) -> None:
    caching = await Caching.begin(kit, PLAIN, f"Content-Type: {kind.title()}; a=b")
    for _ in range(2):
        assert status_of(await caching.ask()) == "fwd=uri-miss"
    assert any(kind.encode().startswith(name) for name in STREAMING)
