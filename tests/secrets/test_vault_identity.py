"""The token of the store `vault`: each way to get one, how long it lives, and what a 403 means."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from proxy.config.models import VaultAuth, VaultMount
from proxy.ports.secrets import SecretAway, SecretError, SecretForbidden
from proxy.secrets.cache import SecretCache
from proxy.secrets.vault import identity
from proxy.secrets.vault.store import VaultStore
from proxy.secrets.vault.token import Token
from tests.functional.baokit import Bao
from tests.functional.test_baokit import cluster, service_account
from tests.plugins.tokens import pem, rsa, token
from tests.secrets.conftest import MakeStore

READ = 'path "secret/data/app/*" { capabilities = ["read"] }'


@pytest.fixture(scope="module", autouse=True)
def secrets(bao: Bao) -> None:
    bao.policy("reader", READ)
    bao.put("app/x", a="1")
    bao.put("other/x", a="2")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, text: str, mode: int = 0o600) -> str:
        path = tmp_path / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


async def works(store: VaultStore) -> bool:
    return dict((await store.get("app/x")).fields) == {"a": "1"}


async def refusal(store: VaultStore, path: str = "app/x") -> SecretError:
    with pytest.raises(SecretError) as raised:
        await store.get(path)
    return raised.value


async def until(done: Callable[[], Awaitable[object]], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not await done():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


# -- ways to log in


async def test_an_approle_logs_in_once_for_all_that_ask(bao: Bao, vault: MakeStore) -> None:
    role_id, secret_id = bao.approle("app", "reader")
    bao.forget_requests()
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, credential=secret_id))
    assert all(await asyncio.gather(*(works(store) for _ in range(20))))
    assert bao.logins() == 1
    assert await store.ready() is None


async def test_a_secret_id_is_read_from_its_file_at_each_login(
    bao: Bao, vault: MakeStore, write: Callable[..., str]
) -> None:
    role_id, first = bao.approle("of-file", "reader", secret_id_num_uses=1)
    file = write("secret-id", f"{first}\n")
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, file))
    assert await works(store)
    write("secret-id", bao.secret_id("of-file"))
    await end_of_token(bao, store)
    assert await works(store)


async def end_of_token(bao: Bao, store: VaultStore) -> None:
    """Revoke a store's token behind its back."""
    await asyncio.to_thread(bao.revoke, (await store._identity.token()).value)


async def test_a_mount_and_a_namespace_of_its_own(bao: Bao, vault: MakeStore) -> None:
    team = bao.namespace("of-logins")
    team.policy("reader", READ)
    team.put("app/x", a="1")
    role_id, secret_id = team.approle("app", "reader", mount="machines/gateways")
    auth = VaultAuth("approle", "machines/gateways", role_id, credential=secret_id)
    mount = VaultMount(namespace="of-logins")
    assert await works(vault(bao.address, auth, namespace="of-logins", mount=mount))
    error = await refusal(vault(bao.address, auth, namespace="", mount=mount))
    assert isinstance(error, SecretForbidden)
    assert "refuses the login at auth/machines/gateways/login" in str(error)


async def test_a_jwt_is_read_anew_at_each_login(
    bao: Bao, vault: MakeStore, write: Callable[..., str]
) -> None:
    bao.jwt_auth("pods", "reader", key=pem(rsa()))
    now = int(time.time())
    file = write("jwt", token(aud="bao", iat=now, exp=now + 60), 0o644)
    store = vault(bao.address, VaultAuth("jwt", "jwt", "pods", file))
    assert await works(store)
    write("jwt", token(aud="wrong", iat=now, exp=now + 60), 0o644)
    error = await refusal(vault(bao.address, VaultAuth("jwt", "jwt", "pods", file)))
    assert isinstance(error, SecretForbidden)
    assert "refuses the login at auth/jwt/login" in str(error)


async def test_a_service_account_logs_in(
    bao: Bao, vault: MakeStore, write: Callable[..., str]
) -> None:
    async def review(_: web.Request) -> web.Response:
        user = {"username": "system:serviceaccount:default:brain", "uid": "1"}
        status = {"authenticated": True, "user": user}
        return web.json_response({"kind": "TokenReview", "status": status}, status=201)

    async with cluster(review) as host:
        bao.kubernetes_auth("brain", "reader", host=host)
        file = write("token", service_account("brain"), 0o644)
        assert await works(vault(bao.address, VaultAuth("kubernetes", "kubernetes", "brain", file)))


@pytest.mark.parametrize("mode", [0o666, 0o622, 0o604])
async def test_a_file_that_others_may_read_or_write_is_not_trusted(
    vault: MakeStore, write: Callable[..., str], mode: int
) -> None:
    file = write("secret-id", "x", mode)
    store = vault("http://127.0.0.1:9", VaultAuth("approle", "approle", "r", file))
    error = await refusal(store)
    assert isinstance(error, SecretForbidden)
    assert error.hint == f"chmod 600 {file}"


async def test_a_file_that_others_may_write_is_not_trusted_as_a_jwt(
    vault: MakeStore, write: Callable[..., str]
) -> None:
    file = write("jwt", "x", 0o646)
    error = await refusal(vault("http://127.0.0.1:9", VaultAuth("jwt", "jwt", "r", file)))
    assert error.hint == f"chmod go-w {file}"


@pytest.mark.parametrize("text", ["", "\n", "a b", "a\nb", "ä"])
async def test_a_file_that_holds_no_word_is_refused(
    vault: MakeStore, write: Callable[..., str], text: str
) -> None:
    file = write("secret-id", text)
    error = await refusal(vault("http://127.0.0.1:9", VaultAuth("approle", "a", "r", file)))
    assert isinstance(error, SecretForbidden)
    assert str(error) == f"{file} does not hold one word"


async def test_a_file_that_is_not_there_yet_is_waited_for(
    bao: Bao, vault: MakeStore, write: Callable[..., str], tmp_path: Path
) -> None:
    file = str(tmp_path / "token")
    store = vault(bao.address, VaultAuth("token_file", file=file))
    assert isinstance(await refusal(store), SecretAway)
    assert await store.ready() == f"{file} is not there"
    write("token", bao.token("reader"))
    await until(lambda: settled(store), 3)
    assert await works(store)


async def settled(store: VaultStore) -> bool:
    try:
        return await works(store)
    except SecretAway:
        return False


# -- a wrapped secret_id


async def test_a_wrapped_secret_id_is_opened_once_and_kept_over_a_reload(
    bao: Bao, vault: MakeStore, write: Callable[..., str]
) -> None:
    role_id, _ = bao.approle("wrapped", "reader")
    file = write("wrapping", bao.wrapped_secret_id("wrapped"))
    auth = VaultAuth("approle", "approle", role_id, file, wrapped=True)
    bao.forget_requests()
    first, second = vault(bao.address, auth), vault(bao.address, auth)
    assert await works(first)
    assert await works(second)
    opened = [path for _, path in bao.requests() if path.startswith("sys/wrapping")]
    assert opened == ["sys/wrapping/lookup", "sys/wrapping/unwrap"]


async def test_a_wrapper_that_somebody_has_opened_is_told_once_as_an_attack(
    bao: Bao,
    vault: MakeStore,
    write: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    role_id, _ = bao.approle("stolen", "reader")
    wrapper = bao.wrapped_secret_id("stolen")
    bao.call("POST", "sys/wrapping/unwrap", {}, token=wrapper)
    auth = VaultAuth("approle", "approle", role_id, write("wrapping", wrapper), wrapped=True)
    for _ in range(2):
        assert isinstance(await refusal(vault(bao.address, auth)), SecretForbidden)
    told = [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert len(told) == 1
    assert "somebody has opened it" in told[0].getMessage()
    assert wrapper not in caplog.text


async def test_a_wrapper_that_was_made_elsewhere_is_not_opened(
    bao: Bao,
    vault: MakeStore,
    write: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    role_id, secret_id = bao.approle("exchanged", "reader")
    made = bao.call("POST", "sys/wrapping/wrap", {"secret_id": secret_id}, wrap="60s")
    wrapper = made["wrap_info"]["token"]
    auth = VaultAuth("approle", "approle", role_id, write("wrapping", wrapper), wrapped=True)
    bao.forget_requests()
    assert "may have been exchanged" in str(await refusal(vault(bao.address, auth)))
    assert ("update", "sys/wrapping/unwrap") not in bao.requests()
    assert bao.logins() == 0
    assert "security: " in caplog.text


# -- what a 403 means


async def test_a_policy_that_forbids_does_not_cost_the_token(bao: Bao, vault: MakeStore) -> None:
    role_id, secret_id = bao.approle("policy", "reader")
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, credential=secret_id))
    bao.forget_requests()
    error = await refusal(store, "other/x")
    assert isinstance(error, SecretForbidden)
    assert error.hint == "'brain secrets policy FILE' prints what the file needs, for all callers"
    assert await works(store)
    assert bao.logins() == 1


async def test_a_token_that_is_dead_is_exchanged_and_the_read_repeated(
    bao: Bao, vault: MakeStore
) -> None:
    role_id, secret_id = bao.approle("dead", "reader")
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, credential=secret_id))
    ended: list[float] = []
    store.on_leases_end = ended.append
    assert await works(store)
    await end_of_token(bao, store)
    bao.forget_requests()
    assert all(await asyncio.gather(*(works(store) for _ in range(20))))
    assert bao.logins() == 1
    assert ended == [0.0]


async def test_a_token_that_may_not_ask_about_itself_is_not_exchanged_again_and_again(
    bao: Bao, vault: MakeStore
) -> None:
    role_id, secret_id = bao.approle("mute", "reader", token_no_default_policy=True)
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, credential=secret_id))
    bao.forget_requests()
    for _ in range(5):
        assert isinstance(await refusal(store, "other/x"), SecretForbidden)
    assert bao.logins() == 1
    assert await works(store)


@pytest.mark.parametrize("mute", [False, True])
async def test_a_token_that_dies_again_and_again_is_never_taken_for_a_policy(
    bao: Bao, vault: MakeStore, *, mute: bool
) -> None:
    name = f"dies-{mute}".lower()
    role_id, secret_id = bao.approle(name, "reader", token_no_default_policy=mute)
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, credential=secret_id))
    cache = SecretCache("vault", store)
    assert (await cache.get("app/x")).secret is not None
    bao.forget_requests()
    for gap in (0.0, 0.3, 0.0, 0.4, 1.1, 0.0, 0.0, 0.0, 1.1):
        await asyncio.sleep(gap)
        await asyncio.to_thread(bao.write, "sys/leases/revoke-prefix/auth/approle/login")
        entry = await cache.refresh("app/x")
        assert entry.secret is not None
        if gap > identity.BETWEEN:
            assert not entry.stale
    await asyncio.sleep(1.1)
    assert not (await cache.refresh("app/x")).stale
    assert bao.logins() <= 6
    await cache.close()


async def test_a_token_that_dies_between_two_questions_is_no_policy_either(
    bao: Bao, vault: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    role_id, secret_id = bao.approle("races", "reader")
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, credential=secret_id))
    entered = identity.enter

    async def enter(*given: Any) -> Token:
        made = await entered(*given)
        await asyncio.to_thread(bao.revoke, made.value)
        return made

    assert await works(store)
    await end_of_token(bao, store)
    monkeypatch.setattr(identity, "enter", enter)
    for _ in range(3):
        error = await refusal(store)
        assert isinstance(error, SecretAway)
        assert "refuses a token that it gave just now" in str(error)
    monkeypatch.setattr(identity, "enter", entered)
    await until(lambda: settled(store), 1.5)


async def test_a_given_token_that_is_dead_leaves_the_store_away_once_it_was_good(
    bao: Bao, vault: MakeStore
) -> None:
    given = bao.token("reader")
    store = vault(bao.address, given)
    assert await works(store)
    bao.revoke(given)
    error = await refusal(store)
    assert isinstance(error, SecretAway)
    assert "does not accept the token" in str(error)
    assert "does not accept the token" in (await store.ready() or "")
    assert given not in f"{error} {error.hint}"
    assert isinstance(await refusal(vault(bao.address, given)), SecretForbidden)


async def test_a_login_that_is_refused_is_not_tried_again_at_once(
    bao: Bao, vault: MakeStore
) -> None:
    role_id, _ = bao.approle("refused", "reader")
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, credential="wrong"))
    bao.forget_requests()
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        assert isinstance(await refusal(store), SecretForbidden)
        await asyncio.sleep(0.005)
    assert 2 <= bao.logins() <= 4


# -- its life


async def test_a_token_file_is_taken_again_when_it_changes(
    bao: Bao, vault: MakeStore, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "LOOK_AT_FILE", 0.05)
    first = bao.token("reader")
    file = write("token", first, 0o640)
    store = vault(bao.address, VaultAuth("token_file", file=file))
    ended: list[float] = []
    store.on_leases_end = ended.append
    assert await works(store)
    write("token", bao.token("reader"), 0o640)
    await until(lambda: has_changed(store, first), 3)
    bao.revoke(first)
    assert await works(store)
    assert 3500 < ended[0] <= 3600


async def has_changed(store: VaultStore, first: str) -> bool:
    return (await store._identity.token()).value != first


@pytest.mark.soak
async def test_a_token_of_four_seconds_serves_for_twelve_without_one_failure(
    bao: Bao, vault: MakeStore
) -> None:
    role_id, secret_id = bao.approle("short", "reader", ttl="4s", max_ttl="8s")
    batch_id, batch_secret = bao.approle(
        "batch", "reader", ttl="4s", max_ttl="8s", token_type="batch"
    )
    bao.forget_requests()
    stores = [
        vault(bao.address, VaultAuth("approle", "approle", role, credential=secret))
        for role, secret in ((role_id, secret_id), (batch_id, batch_secret))
    ]
    given = vault(bao.address, bao.token("reader", ttl="4s"))
    end, read = time.monotonic() + 12, 0
    while time.monotonic() < end:
        assert all([await works(store) for store in (*stores, given)])
        read += 1
        await asyncio.sleep(0.05)
    renewals = bao.requests().count(("update", "auth/token/renew-self"))
    # Of the first: at 0 and about every 6 s; of the second, that is never renewed, every 2.7 s.
    assert 2 + 4 <= bao.logins() <= 4 + 6
    assert 3 + 1 <= renewals <= 8 + 4
    assert read > 150


async def test_a_token_that_nothing_renews_is_told_before_it_ends(
    bao: Bao, vault: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = vault(bao.address, bao.token("reader", ttl="2s", renewable=False))
    assert await works(store)
    assert "the token ends in " in caplog.text
    assert await store.ready() is None
    await until(lambda: store.ready(), 2.5)
    assert "nothing renews it" in (await store.ready() or "")
    await until(lambda: is_away(store), 3)


async def is_away(store: VaultStore) -> bool:
    try:
        return not await works(store)
    except SecretAway:
        return True


async def test_a_token_is_given_back_at_the_end_if_it_is_ours(bao: Bao, vault: MakeStore) -> None:
    role_id, secret_id = bao.approle("ends", "reader")
    store = vault(bao.address, VaultAuth("approle", "approle", role_id, credential=secret_id))
    assert await works(store)
    ours = (await store._identity.token()).value
    await store.close()
    with pytest.raises(Exception, match="permission denied"):
        bao.read("auth/token/lookup-self", token=ours)
    given = bao.token("reader")
    store = vault(bao.address, given)
    assert await works(store)
    await store.close()
    assert bao.read("auth/token/lookup-self", token=given)
    assert isinstance(await refusal(store), SecretAway)
