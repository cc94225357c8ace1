"""Callers that hold a key."""

import hashlib
import hmac
import logging
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from plugin_kit import Found, Kit, Route, request_of

from plugins.api_key import ApiKey, keys
from plugins.api_key.ends import moment_of
from plugins.api_key.keys import Key, KeyRing
from proxy import EXCHANGE, ConfigError, Principal, Stage, Unauthenticated, Unavailable
from proxy.ports.secrets import SecretError

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
        plugin.authenticate(request_of(**how))
    return raised.value


async def test_a_known_key_makes_a_principal(kit: Kit) -> None:
    options = portal(tenant="acme", scopes=["read"], roles=["Partner"])
    plugin = await running(kit, options)
    principal = plugin.authenticate(request_of(headers={"X-Api-Key": KEY}))
    assert principal is not None
    assert (principal.subject, principal.tenant) == ("portal", "acme")
    assert (principal.scopes, principal.roles) == ({"read"}, {"Partner"})
    assert principal.by == "some-identity"


async def test_no_key_is_nothing_of_its_own(kit: Kit) -> None:
    plugin = await running(kit, portal())
    assert plugin.authenticate(request_of()) is None
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
        assert plugin.authenticate(request)
    else:
        with pytest.raises(Unauthenticated):
            plugin.authenticate(request)


async def test_two_keys_at_once_are_bad(kit: Kit) -> None:
    plugin = await running(kit, {**portal(), "query": "key"})
    twice = CIMultiDict([("X-Api-Key", KEY), ("x-api-key", KEY)])
    await refused(plugin, headers=twice)
    await refused(plugin, headers={"X-Api-Key": KEY}, target=f"/x?key={KEY}")


async def test_both_keys_of_a_rotation_are_good(kit: Kit) -> None:
    both = [digest_of("old"), digest_of("new").upper()]
    plugin = await running(kit, {"keys": [{"name": "portal", "sha256": both}]})
    for key in ("old", "new"):
        principal = plugin.authenticate(request_of(headers={"X-Api-Key": key}))
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
    assert plugin.authenticate(request_of(headers={"X-Api-Key": KEY}))


async def test_its_places_are_protected_so_that_no_route_sends_a_key_on(kit: Kit) -> None:
    plugin = await running(kit, {**portal(), "header": "X-Own", "query": "key"})
    assert (plugin.protects, plugin.protects_query) == ({"x-own"}, {"key"})
    assert (await running(kit, portal())).protects_query == frozenset()


async def test_a_route_that_forwards_tokens_gets_it_back(kit: Kit) -> None:
    plugin = await running(kit, portal())
    route = Route(forward_token=True)
    request = request_of(headers={"X-Api-Key": KEY}, route=route)
    plugin.authenticate(request)
    assert request[EXCHANGE].outgoing.header("X-Api-Key") == KEY


async def test_a_key_in_the_query_counts_only_where_it_is_asked_for(kit: Kit) -> None:
    request = request_of(target=f"/api/brain/crm/x?a=%41&key={KEY}&b")
    assert (await running(kit, portal())).authenticate(request) is None
    assert (await running(kit, {**portal(), "query": "key"})).authenticate(request)


async def test_a_key_of_the_query_is_not_put_into_the_header(kit: Kit) -> None:
    plugin = await running(kit, {**portal(), "query": "key"})
    request = request_of(target=f"/x?key={KEY}", route=Route(forward_token=True))
    plugin.authenticate(request)
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
    listed = [
        {"name": "a", "sha256": digest_of("1")},
        {"name": "a", "sha256": digest_of("2")},
        {"name": "b", "sha256": digest_of("1").upper()},
    ]
    kit.make(ApiKey, {"keys": listed}).check(found)
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


@pytest.mark.parametrize("presented", [KEY, "wrong"])
def test_a_comparison_in_constant_time_is_made_whether_there_is_such_a_key_or_not(
    presented: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    class Watched:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(keys, "hmac", Watched)
    key = Key(bytes.fromhex(digest_of(KEY)), Principal(subject="portal"), None)
    found = KeyRing([key]).find(presented)
    assert (found is key) == (presented == KEY)
    assert [len(each) for pair in compared for each in pair] == [32, 32]


def test_not_even_a_key_whose_digest_is_that_of_nobody_gets_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Zero:
        @staticmethod
        def sha256(_: bytes) -> "Zero":
            return Zero()

        def digest(self) -> bytes:
            return bytes(32)

    monkeypatch.setattr(keys, "hashlib", Zero)
    assert KeyRing(()).find("x") is None


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


def test_without_any_key_nobody_could_get_in(kit: Kit) -> None:
    found = Found()
    kit.make(ApiKey, {}).check(found)
    assert found.errors == {"": "nobody has a key"}


# -- digests that a store keeps

PLACE = {"secret": "integrations/portal", "field": "sha256"}
SECOND = {"secret": "integrations/portal", "field": "sha256_next"}


def stored(sha256: Any = PLACE, **more: Any) -> dict[str, Any]:
    return {"keys": [{"name": "portal", "sha256": sha256, "tenant": "acme", **more}]}


def keep(kit: Kit, **fields: str) -> None:
    kit.store["integrations/portal"] = fields


async def renewed(kit: Kit) -> None:
    """Let the kit's store tell what the test has put there."""
    for entry in kit.secrets.store().entries:
        with suppress(SecretError):
            await kit.secrets.store().refresh(entry.path)


async def test_a_digest_may_be_kept_in_a_store_and_change_there(kit: Kit) -> None:
    keep(kit, sha256=f" {digest_of('old').upper()}\n")
    plugin = await running(kit, stored())
    assert plugin.authenticate(request_of(headers={"X-Api-Key": "old"}))
    keep(kit, sha256=digest_of("new"))
    await renewed(kit)
    assert plugin.authenticate(request_of(headers={"X-Api-Key": "new"}))
    await refused(plugin, headers={"X-Api-Key": "old"})


async def test_two_of_them_are_good_at_once(kit: Kit) -> None:
    keep(kit, sha256=digest_of("old"), sha256_next=digest_of("new"))
    plugin = await running(kit, stored([PLACE, SECOND]))
    for key in ("old", "new"):
        assert plugin.authenticate(request_of(headers={"X-Api-Key": key}))


async def test_the_digest_itself_is_no_key(kit: Kit) -> None:
    keep(kit, sha256=digest_of("old"))
    await refused(await running(kit, stored()), headers={"X-Api-Key": digest_of("old")})


async def test_a_digest_that_is_taken_back_lets_nobody_in_and_others_go_on(kit: Kit) -> None:
    keep(kit, sha256=digest_of("old"))
    options = stored()
    options["keys"].append({"name": "ci", "sha256": digest_of("ci")})
    plugin = await running(kit, options)
    kit.store.clear()
    await renewed(kit)
    assert plugin.authenticate(request_of(headers={"X-Api-Key": "ci"}))
    with pytest.raises(Unavailable) as raised:
        plugin.authenticate(request_of(headers={"X-Api-Key": "old"}))
    assert raised.value.code == "secret_unavailable"
    assert "key 'portal'" in (await plugin.ready() or "")


async def test_what_is_no_digest_refuses_the_load_and_later_lets_nobody_in(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    keep(kit, sha256=KEY)
    with pytest.raises(ConfigError, match="64 hexadecimal digits") as caught:
        await running(kit, stored())
    keep(kit, sha256=digest_of("old"))
    await renewed(kit)
    plugin = await running(kit, stored())
    keep(kit, sha256=KEY)
    await renewed(kit)
    for key in ("old", KEY):
        await refused(plugin, headers={"X-Api-Key": key})
    ready = await plugin.ready() or ""
    assert "key 'portal': integrations/portal#sha256" in ready
    assert caplog.text.count("64 hexadecimal digits") == 1
    assert KEY not in ready + caplog.text + str(caught.value)


async def test_a_key_that_two_names_have_lets_nobody_in_as_either(kit: Kit) -> None:
    keep(kit, sha256=digest_of("one"))
    options = stored()
    options["keys"].append({"name": "other", "tenant": "globex", "sha256": digest_of("two")})
    plugin = await running(kit, options)
    keep(kit, sha256=digest_of("two"))
    await renewed(kit)
    await refused(plugin, headers={"X-Api-Key": "two"})
    assert "have the same key" in (await plugin.ready() or "")


async def test_the_same_place_twice_is_an_error(kit: Kit) -> None:
    found = Found()
    options = stored()
    options["keys"].append({"name": "other", "sha256": PLACE})
    kit.make(ApiKey, options).check(found)
    assert list(found.errors) == ["keys.1.sha256"]


# -- tenants


async def test_a_key_gives_its_own_tenant_whatever_else_a_caller_sends(kit: Kit) -> None:
    listed = [
        {"name": f"at-{tenant}", "tenant": tenant, "sha256": digest_of(f"key-of-{tenant}")}
        for tenant in ("acme", "globex")
    ]
    listed.append({"name": "nowhere", "sha256": digest_of("key-of-none")})
    plugin = await running(kit, {"keys": listed, "query": "key"})
    claims = {"X-Tenant-Id": "globex", "X-Api-Tenant": "globex", "Cookie": "tenant=globex"}
    for key, tenant in (
        ("key-of-acme", "acme"),
        ("key-of-globex", "globex"),
        ("key-of-none", None),
    ):
        principal = plugin.authenticate(
            request_of(headers={"X-Api-Key": key, **claims}, target="/x?tenant=globex")
        )
        assert principal is not None
        assert principal.tenant == tenant
    await refused(plugin, headers={"X-Api-Key": "key-of-acme"}, target="/x?key=key-of-globex")
    await refused(plugin, headers={"X-Api-Key": "key-of-acme,key-of-globex"})
