"""Callers that hold a key."""

import hashlib
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from plugin_kit import Found, Kit, Route, request_of

from plugins.api_key import ApiKey
from plugins.api_key.keys import KeyRing, moment_of
from proxy import EXCHANGE, Stage, Unauthenticated

KEY = "k3y-of-the-portal"
NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def portal(**more: Any) -> dict[str, Any]:
    return {"keys": [{"name": "portal", "sha256": digest_of(KEY), **more}]}


async def running(kit: Kit, options: dict[str, Any]) -> ApiKey:
    return await kit.run(ApiKey, options, now=lambda: NOW)


async def refused(plugin: ApiKey, **how: Any) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as raised:
        await plugin.authenticate(request_of(**how))
    return raised.value


async def test_a_known_key_makes_a_principal(kit: Kit) -> None:
    options = portal(tenant="acme", scopes=["read"], roles=["Partner"])
    principal = await (await running(kit, options)).authenticate(
        request_of(headers={"X-Api-Key": KEY})
    )
    assert principal is not None
    assert (principal.subject, principal.tenant) == ("portal", "acme")
    assert (principal.scopes, principal.roles) == ({"read"}, {"Partner"})
    assert principal.by == "some-identity"


async def test_no_key_is_nothing_of_its_own(kit: Kit) -> None:
    plugin = await running(kit, portal())
    assert await plugin.authenticate(request_of()) is None
    assert plugin.challenge() == 'ApiKey realm="brain", header="X-Api-Key"'
    assert plugin.stage is Stage.AUTHENTICATE


@pytest.mark.parametrize("key", ["", "x", KEY + " ", KEY.upper(), "\u00e4", digest_of(KEY)])
async def test_an_unknown_key_is_bad(kit: Kit, key: str) -> None:
    error = await refused(await running(kit, portal()), headers={"X-Api-Key": key})
    assert (error.status, error.code) == (401, "credentials_invalid")


@given(st.text(st.characters(codec="ascii"), max_size=40))
async def test_only_the_key_itself_gets_in(key: str) -> None:
    kit = Kit()
    plugin = await running(kit, portal())
    request = request_of(headers={"X-Api-Key": key})
    if key == KEY:
        assert await plugin.authenticate(request)
    else:
        with pytest.raises(Unauthenticated):
            await plugin.authenticate(request)


async def test_two_keys_at_once_are_bad(kit: Kit) -> None:
    plugin = await running(kit, {**portal(), "query": "key"})
    twice = CIMultiDict([("X-Api-Key", KEY), ("x-api-key", KEY)])
    await refused(plugin, headers=twice)
    await refused(plugin, headers={"X-Api-Key": KEY}, target=f"/x?key={KEY}")


async def test_both_keys_of_a_rotation_are_good(kit: Kit) -> None:
    keys = [{"name": "portal", "sha256": [digest_of("old"), digest_of("new").upper()]}]
    plugin = await running(kit, {"keys": keys})
    for key in ("old", "new"):
        principal = await plugin.authenticate(request_of(headers={"X-Api-Key": key}))
        assert principal is not None
        assert principal.subject == "portal"


@pytest.mark.parametrize(
    "expires", ["2027-01-14", "2027-01-15T08:00:00Z", "2027-01-15T09:59:59+02:00"]
)
async def test_an_expired_key_says_so(kit: Kit, expires: str) -> None:
    plugin = await running(kit, portal(expires=expires))
    error = await refused(plugin, headers={"X-Api-Key": KEY})
    assert (error.status, error.code) == (401, "credentials_expired")


@pytest.mark.parametrize("expires", ["2027-01-15", "2027-01-15T08:00:01Z"])
async def test_a_key_is_good_until_it_ends(kit: Kit, expires: str) -> None:
    plugin = await running(kit, portal(expires=expires))
    assert await plugin.authenticate(request_of(headers={"X-Api-Key": KEY}))


async def test_an_accepted_key_is_not_sent_on(kit: Kit) -> None:
    plugin = await running(kit, portal())
    request = request_of(headers={"X-Api-Key": KEY}, sent_on={"x-api-key": KEY, "Accept": "*/*"})
    await plugin.authenticate(request)
    assert list(request[EXCHANGE].outgoing.headers) == ["Accept"]


async def test_its_header_is_protected_so_that_public_routes_drop_it_too(kit: Kit) -> None:
    assert (await running(kit, {**portal(), "header": "X-Own"})).protects == {"x-own"}


async def test_a_route_that_forwards_tokens_gets_it_back(kit: Kit) -> None:
    plugin = await running(kit, portal())
    route = Route(forward_token=True)
    request = request_of(headers={"X-Api-Key": KEY}, route=route)
    await plugin.authenticate(request)
    assert request[EXCHANGE].outgoing.header("X-Api-Key") == KEY


async def test_a_key_in_the_query_counts_only_where_it_is_asked_for(kit: Kit) -> None:
    target = f"/api/brain/crm/x?a=%41&key={KEY}&b"
    assert await (await running(kit, portal())).authenticate(request_of(target=target)) is None
    request = request_of(target=target)
    assert await (await running(kit, {**portal(), "query": "key"})).authenticate(request)
    assert request[EXCHANGE].outgoing.target == "/x?a=%41&b"


async def test_a_route_that_forwards_tokens_keeps_the_query(kit: Kit) -> None:
    plugin = await running(kit, {**portal(), "query": "key"})
    request = request_of(target=f"/x?key={KEY}", route=Route(forward_token=True))
    await plugin.authenticate(request)
    assert request[EXCHANGE].outgoing.target == f"/x?key={KEY}"
    assert request[EXCHANGE].outgoing.header("X-Api-Key") is None


async def test_no_key_is_logged_or_shown(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    plugin = await running(kit, portal(expires="2027-01-01"))
    shown = str(await refused(plugin, headers={"X-Api-Key": KEY}))
    shown += str(await refused(plugin, headers={"X-Api-Key": "wrong-key"}))
    assert "wrong-key" not in shown + caplog.text
    assert KEY not in shown + caplog.text + repr(plugin)


def test_names_and_digests_are_there_once(kit: Kit) -> None:
    found = Found()
    keys = [
        {"name": "a", "sha256": digest_of("1")},
        {"name": "a", "sha256": digest_of("2")},
        {"name": "b", "sha256": digest_of("1").upper()},
    ]
    kit.make(ApiKey, {"keys": keys}).check(found)
    assert list(found.errors) == ["keys.1.name", "keys.2.sha256"]


@pytest.mark.parametrize("text", ["soon", "2027-13-01", "2027-01-15T08:00:00", "9999-12-31"])
def test_an_end_that_can_not_be_read_is_an_error(kit: Kit, text: str) -> None:
    found = Found()
    kit.make(ApiKey, portal(expires=text)).check(found)
    assert list(found.errors) == ["keys.0.expires"]


def test_an_expired_key_is_a_warning(kit: Kit) -> None:
    found = Found()
    kit.make(ApiKey, portal(expires="2027-01-14"), now=lambda: NOW).check(found)
    assert list(found.warnings) == ["keys.0.expires"]
    assert not found.errors


def test_bytes_that_are_no_text_are_just_another_unknown_key() -> None:
    assert KeyRing(()).find("\udcff") is None


def test_a_date_means_its_end_in_utc() -> None:
    assert moment_of("2027-01-31").isoformat() == "2027-02-01T00:00:00+00:00"


def test_it_says_where_it_looks_and_what_becomes_of_a_key(kit: Kit) -> None:
    plugin = kit.make(ApiKey, portal(), now=lambda: NOW)
    assert plugin.explain(request_of()[EXCHANGE]) == [
        "looks for one key in the header X-Api-Key",
        "a key that is accepted is kept from the upstream",
    ]
    forwarding = request_of(route=Route(forward_token=True))[EXCHANGE]
    assert plugin.explain(forwarding)[1] == "a key that is accepted is sent on"
