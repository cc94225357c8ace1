"""The store `vault` on a real server: what each engine gives, and what is written and leased."""

from __future__ import annotations

import asyncio

import pytest

from proxy.config.models import VaultMount
from proxy.ports.secrets import (
    SecretConflict,
    SecretError,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
)
from proxy.secrets.vault.store import VaultStore
from tests.functional.baokit import Bao
from tests.functional.valkeykit import serving
from tests.secrets.conftest import MakeStore

CANARY = "canary-5e1f"


@pytest.fixture
def store(bao: Bao, vault: MakeStore) -> VaultStore:
    mounts = (
        VaultMount("kv1", "kv1"),
        VaultMount("kv1/deep", "kv2"),
        VaultMount("pki", "pki", parameters={"common_name": "gw.example.com", "ttl": "2m"}),
        VaultMount("cubbyhole", "dynamic"),
        VaultMount("wrong", "kv2"),
        VaultMount("nowhere", "kv1"),
    )
    return vault(bao.address, bao.root, mounts=mounts)


async def refused(store: VaultStore, path: str) -> SecretError:
    with pytest.raises(SecretError) as raised:
        await store.get(path)
    assert CANARY not in f"{raised.value} {raised.value.hint}"
    return raised.value


# -- reading


async def test_version_2_gives_fields_and_their_version(bao: Bao, store: VaultStore) -> None:
    bao.put("platform/redis", url="redis://a", password="1")
    bao.put("platform/redis", url="redis://b", password="2")
    found = await store.get("platform/redis")
    assert (found.fields, found.version) == ({"url": "redis://b", "password": "2"}, 2)
    assert found.lease is None
    assert "redis" not in repr(found)
    assert bao.root not in repr(store)


async def test_what_is_not_there_or_deleted_or_destroyed_is_missing(
    bao: Bao, store: VaultStore
) -> None:
    assert isinstance(await refused(store, "none"), SecretMissing)
    bao.put("deleted", a=CANARY)
    bao.delete("deleted")
    assert isinstance(await refused(store, "deleted"), SecretMissing)
    bao.put("destroyed", a=CANARY)
    bao.destroy("destroyed", 1)
    assert isinstance(await refused(store, "destroyed"), SecretMissing)


async def test_version_1_gives_fields_without_a_version_or_a_lease(
    bao: Bao, store: VaultStore
) -> None:
    bao.kv1()
    bao.write("kv1/tenants/acme", api_key="one")
    found = await store.get("kv1/tenants/acme")
    assert (found.fields, found.version, found.lease) == ({"api_key": "one"}, None, None)


async def test_the_longest_mount_takes_a_path(bao: Bao, store: VaultStore) -> None:
    bao.kv1()
    error = await refused(store, "kv1/deep/x")
    assert "kv1/deep/data/x" in str(error)
    assert "is a mount" in str(await refused(store, "kv1/deep"))
    bao.put("kv1x/y", a="1")
    assert (await store.get("kv1x/y")).fields == {"a": "1"}


async def test_a_wrong_mount_or_engine_is_told_as_such(bao: Bao, store: VaultStore) -> None:
    error = await refused(store, "nowhere/x")
    assert isinstance(error, SecretMissing)
    assert str(error) == "nothing is mounted at nowhere/x"
    bao.kv1("wrong")
    bao.write("wrong/data/x", a=CANARY)
    error = await refused(store, "wrong/x")
    assert isinstance(error, SecretMalformed)
    assert error.hint == "say 'engine: kv1' or 'engine: dynamic' for this mount"


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({"a": 5432, "b": True, "c": -1}, {"a": "5432", "b": "true", "c": "-1"}),
        ({"a": "x\ny", "b": "ü"}, {"a": "x\ny", "b": "ü"}),
        ({"a": 1.5, "b": "x"}, {"b": "x"}),
        ({"a": None, "b": "x"}, {"b": "x"}),
        ({"a": "", "b": "x", "c": ["y"], "d": {"e": "f"}, "g": 2**60}, {"b": "x"}),
        ({"a": [CANARY]}, None),
        ({"a": {"b": CANARY}}, None),
        ({"a": f"{CANARY}\0"}, None),
        ({"a": 2**60}, None),
        ({}, None),
    ],
)
async def test_a_field_is_a_text_or_a_whole_number_or_a_word(
    bao: Bao, store: VaultStore, fields: dict[str, object], taken: dict[str, str] | None
) -> None:
    bao.put("forms", **fields)
    if taken is None:
        assert isinstance(await refused(store, "forms"), SecretMalformed)
    else:
        assert (await store.get("forms")).fields == taken


async def test_what_an_engine_leaves_empty_is_no_field(bao: Bao, store: VaultStore) -> None:
    bao.write("cubbyhole/x", key="k", session="", token=None, chain=["a", "b\n"], more={"a": "b"})
    found = await store.get("cubbyhole/x")
    assert found.fields == {"key": "k", "chain": "a\nb"}


# -- writing


async def test_a_write_replaces_the_version_that_was_read_and_no_other(
    bao: Bao, store: VaultStore
) -> None:
    bao.put("oauth/acme", refresh="one")
    read = await store.get("oauth/acme")
    written = await store.put("oauth/acme", {"refresh": "two"}, read.version or 0)
    assert (written.fields, written.version) == ({"refresh": "two"}, 2)
    assert (await store.get("oauth/acme")).fields == {"refresh": "two"}
    with pytest.raises(SecretConflict, match="secret/data/oauth/acme has been written since"):
        await store.put("oauth/acme", {"refresh": CANARY}, 1)
    assert (await store.get("oauth/acme")).version == 2


async def test_a_write_leaves_what_is_no_field_and_the_form_of_what_has_not_changed(
    bao: Bao, store: VaultStore
) -> None:
    bao.put("oauth/full", refresh="one", expires=5, scopes=["a"], note=None, gone="x")
    read = await store.get("oauth/full")
    fields = {**read.fields, "refresh": "two"}
    del fields["gone"]
    await store.put("oauth/full", fields, read.version or 0)
    found = bao.read("secret/data/oauth/full")["data"]
    assert found == {"refresh": "two", "expires": 5, "scopes": ["a"], "note": None}


async def test_only_version_2_is_written(bao: Bao, store: VaultStore) -> None:
    assert store.writes("oauth/acme") is None
    assert store.writes("../x") == "'../x' is no path of a secret"
    assert store.writes("kv1/a") == "only KV version 2 is written, and this is 'kv1'"
    with pytest.raises(SecretForbidden, match="only KV version 2"):
        await store.put("kv1/a", {"a": "b"}, 0)


# -- leases


async def test_a_certificate_is_issued_with_a_lease_that_is_renewed_and_given_back(
    bao: Bao, store: VaultStore
) -> None:
    path = bao.pki(ttl="2m")
    found = await store.get(path)
    assert found.fields["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert found.fields["private_key_type"] == "ec"
    assert found.lease is not None
    assert 100 < found.lease.seconds <= 120
    assert found.lease.id.startswith("pki/issue/web/")
    assert len(bao.leases(path)) == 1
    await store.revoke(found.lease)
    assert bao.leases(path) == []
    with pytest.raises(SecretMissing, match="the lease has ended"):
        await store.renew(found.lease)


async def test_a_certificate_without_a_lease_is_good_until_it_ends(
    bao: Bao, store: VaultStore
) -> None:
    bao.pki("plain")
    bao.write("pki/roles/plain", allow_any_name=True, generate_lease=False, key_type="ec")
    found = await store.get("pki/issue/plain")
    assert found.lease is not None
    assert 100 < found.lease.seconds <= 120
    assert (found.lease.id, found.lease.renewable) == ("", False)
    await store.revoke(found.lease)


async def test_a_pki_is_asked_to_issue_and_nothing_else(bao: Bao, store: VaultStore) -> None:
    error = await refused(store, "pki/roles/web")
    assert error.hint == "name a role: pki/issue/ROLE"
    bao.pki()
    assert isinstance(await refused(store, "pki/issue/unknown"), SecretMalformed)


async def test_a_users_lease_is_renewed_until_it_is_given_back(bao: Bao, vault: MakeStore) -> None:
    async with serving("pass") as valkey:
        path = await asyncio.to_thread(bao.database, valkey.port, "pass", ttl="1m")
        store = vault(bao.address, bao.root, mounts=(VaultMount("database", "dynamic"),))
        found = await store.get(path)
        assert found.fields.keys() == {"username", "password"}
        assert found.lease is not None
        assert found.lease.renewable
        renewed = await store.renew(found.lease)
        assert (renewed.id, renewed.renewable) == (found.lease.id, True)
        assert 50 < renewed.seconds <= 60
        await store.revoke(renewed)
        with pytest.raises(SecretMissing, match="the lease has ended"):
            await store.renew(renewed)


async def test_a_lease_that_may_not_be_renewed_is_read_anew(bao: Bao, vault: MakeStore) -> None:
    path = bao.pki("narrow")
    bao.policy("issues", 'path "pki/issue/*" { capabilities = ["update"] }')
    mounts = (VaultMount("pki", "pki", parameters={"common_name": "a.example.com"}),)
    store = vault(bao.address, bao.token("issues", "default"), mounts=mounts)
    found = await store.get(path)
    assert found.lease is not None
    bao.policy("issues", 'path "sys/leases/renew" { capabilities = ["deny"] }')
    with pytest.raises(SecretMissing, match="can't be renewed"):
        await store.renew(found.lease)


# -- namespaces


async def test_each_mount_is_asked_in_its_own_namespace(bao: Bao, vault: MakeStore) -> None:
    team = bao.namespace("team-b")
    team.put("x", a="of team b")
    bao.put("x", a="of all")
    team.kv1("old")
    team.write("old/x", a="of old")
    mounts = (VaultMount("old", "kv1", "team-b"),)
    store = vault(bao.address, bao.root, mounts=mounts)
    assert (await store.get("x")).fields == {"a": "of all"}
    assert (await store.get("old/x")).fields == {"a": "of old"}
    store = vault(bao.address, bao.root, mount=VaultMount(namespace="team-b"))
    assert (await store.get("x")).fields == {"a": "of team b"}


# -- paths


@pytest.mark.parametrize(
    "path",
    [
        *("..", "a/../b", "../b", "a/..", ".", "./a", "a/./b", "a//b", "/a", "a/", "", " ", "a b"),
        *("a%2e%2e/b", "%2e%2e", "a%2Fb", "a\\b", "a?version=1", "a#b", "a;b", "*", "a*", "+", "ä"),
        *("a\nb", "a\0b", "a\r\nX: y", "\u2024\u2024/a", "a" * 1000, "a/" * 500 + "a", "-a", "_a"),
        *(".hidden", "a/.b", "${x}", "a\u202eb", "\uff0e\uff0e"),
    ],
)
async def test_a_path_that_could_lead_elsewhere_is_refused_before_a_byte_is_sent(
    vault: MakeStore, path: str
) -> None:
    store = vault("http://127.0.0.1:9", "t")  # nobody listens: a request would be SecretAway
    for asked in (path, f"kv1/{path}" if path else path):
        with pytest.raises(SecretMissing) as raised:
            await store.get(asked)
        assert str(raised.value).isprintable()
        assert str(raised.value).isascii()
        with pytest.raises(SecretForbidden):
            await store.put(asked, {"a": "b"}, 1)
