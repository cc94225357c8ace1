"""The OpenBao server of the tests does what its kit says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from tests.functional.baokit import Bao
from tests.functional.baospace import Refused
from tests.functional.valkeykit import serving
from tests.plugins.tokens import pem, rsa, token

READ_ALL = 'path "secret/data/*" { capabilities = ["read"] }'


def refused(status: int) -> pytest.RaisesExc[Refused]:
    return pytest.RaisesExc(Refused, check=lambda error: error.status == status)


def log_in(bao: Bao, mount: str, **fields: str) -> str:
    made: str = bao.call("POST", f"auth/{mount}/login", fields, token="")["auth"]["client_token"]
    return made


def test_what_was_put_is_read_by_version_until_it_is_deleted(bao: Bao) -> None:
    assert bao.put("tenants/acme", api_key="one") == 1
    assert bao.put("tenants/acme", api_key="two") == 2
    assert bao.read("secret/data/tenants/acme")["data"] == {"api_key": "two"}
    assert bao.read("secret/data/tenants/acme?version=1")["data"] == {"api_key": "one"}
    bao.delete("tenants/acme")
    with refused(404):
        bao.read("secret/data/tenants/acme")


def test_a_destroyed_version_and_a_removed_secret_are_gone(bao: Bao) -> None:
    bao.put("gone", a="1")
    bao.put("gone", a="2")
    bao.destroy("gone", 1)
    with refused(404):
        bao.read("secret/data/gone?version=1")
    bao.remove("gone")
    assert bao.put("gone", a="3") == 1


def test_version_one_of_kv_has_no_versions(bao: Bao) -> None:
    mount = bao.kv1()
    bao.write(f"{mount}/tenants/acme", api_key="one")
    assert bao.read(f"{mount}/tenants/acme") == {"api_key": "one"}


def test_reads_are_counted_one_by_one_with_the_refused(bao: Bao) -> None:
    bao.put("counted", a="1")
    bao.forget_requests()
    for _ in range(3):
        bao.read("secret/data/counted")
    with refused(403):
        bao.read("secret/data/counted", token="s.nothing")
    assert bao.reads("counted") == 4
    assert bao.reads("another") == 0
    bao.forget_requests()
    assert bao.reads("counted") == 0


def test_a_role_logs_in_and_may_do_what_its_policy_says(bao: Bao) -> None:
    role_id, secret_id = bao.approle("reader", bao.policy("reader", READ_ALL), ttl="5m")
    bao.put("of/policy", a="1")
    bao.forget_requests()
    made = log_in(bao, "approle", role_id=role_id, secret_id=secret_id)
    assert bao.logins() == 1
    assert bao.read("secret/data/of/policy", token=made)["data"] == {"a": "1"}
    with refused(403):
        bao.call("POST", "secret/data/of/policy", {"data": {}}, token=made)
    bao.revoke(made)
    with refused(403):
        bao.read("secret/data/of/policy", token=made)


def test_a_wrapped_secret_id_is_looked_at_once(bao: Bao) -> None:
    role_id, _ = bao.approle("wrapped", "default")
    wrapping = bao.wrapped_secret_id("wrapped")
    found = bao.call("POST", "sys/wrapping/unwrap", {}, token=wrapping)["data"]["secret_id"]
    assert log_in(bao, "approle", role_id=role_id, secret_id=found)
    with refused(400):
        bao.call("POST", "sys/wrapping/unwrap", {}, token=wrapping)


def test_tokens_of_an_issuer_log_in(bao: Bao) -> None:
    bao.jwt_auth("pods", "default", key=pem(rsa()))
    now = int(time.time())
    good = token(aud="bao", iat=now, exp=now + 60)
    assert log_in(bao, "jwt", role="pods", jwt=good)
    with refused(400):
        log_in(bao, "jwt", role="pods", jwt=token(aud="other", iat=now, exp=now + 60))


async def test_service_accounts_log_in_that_the_cluster_vouches_for(bao: Bao) -> None:
    asked: list[str] = []
    good = service_account("brain")

    async def review(request: web.Request) -> web.Response:
        asked.append(request.path)
        known = (await request.json())["spec"]["token"] == good
        user = {"username": "system:serviceaccount:default:brain", "uid": "1"}
        status = {"authenticated": True, "user": user} if known else {}
        return web.json_response({"kind": "TokenReview", "status": status}, status=201)

    async with cluster(review) as host:
        bao.kubernetes_auth("pods-of-brain", "default", host=host)
        fields = {"role": "pods-of-brain", "jwt": good}
        assert await asyncio.to_thread(log_in, bao, "kubernetes", **fields)
        assert asked == ["/apis/authentication.k8s.io/v1/tokenreviews"]
        with refused(403):
            await asyncio.to_thread(
                log_in, bao, "kubernetes", **{**fields, "jwt": service_account("another")}
            )


@contextlib.asynccontextmanager
async def cluster(
    review: Callable[[web.Request], Awaitable[web.Response]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", review)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def service_account(name: str) -> str:
    now = int(time.time())
    account = {"namespace": "default", "serviceaccount": {"name": name, "uid": "1"}}
    return token(
        iss="https://kubernetes.default.svc",
        aud=None,
        sub=f"system:serviceaccount:default:{name}",
        iat=now,
        exp=now + 60,
        **{"kubernetes.io": account},
    )


def test_a_token_has_the_lifetime_and_kind_that_was_asked_for(bao: Bao) -> None:
    made = bao.token("default", ttl="40s", explicit_max_ttl="50s")
    about = bao.read("auth/token/lookup-self", token=made)
    assert about["creation_ttl"] == 40
    assert about["explicit_max_ttl"] == 50
    batch = bao.token("default", type="batch")
    assert bao.read("auth/token/lookup-self", token=batch)["type"] == "batch"


def test_a_namespace_has_secrets_of_its_own(bao: Bao) -> None:
    team = bao.namespace("team")
    bao.put("shared/name", a="root's")
    team.put("shared/name", a="team's")
    bao.forget_requests()
    assert team.read("secret/data/shared/name")["data"] == {"a": "team's"}
    assert bao.read("secret/data/shared/name")["data"] == {"a": "root's"}
    assert bao.reads("shared/name") == 1
    assert bao.reads("shared/name", "team/secret/data") == 1


def test_certificates_have_leases(bao: Bao) -> None:
    path = bao.pki(ttl="90s")
    issued = bao.call("POST", path, {"common_name": "a.example.com"})
    assert 88 <= issued["lease_duration"] <= 90  # counted from the certificate's start
    assert bao.leases(path) == [issued["lease_id"].removeprefix(f"{path}/")]
    bao.revoke_lease(issued["lease_id"])
    assert bao.leases(path) == []


async def test_users_of_a_valkey_server_end_with_their_lease(bao: Bao) -> None:
    async with serving("password") as valkey:
        path = bao.database(valkey.port, "password", ttl="90s")
        made = bao.call("GET", path)
        assert made["lease_duration"] == 90
        assert made["renewable"]
        name = made["data"]["username"].encode()
        assert name in await valkey.ask("ACL", "USERS")
        bao.revoke_lease(made["lease_id"])
        assert name not in await valkey.ask("ACL", "USERS")


def test_a_sealed_server_says_503_and_has_all_again_when_it_is_opened(bao: Bao) -> None:
    bao.put("sealed", a="1")
    bao.seal()
    with refused(503):
        bao.read("secret/data/sealed")
    bao.unseal()
    assert bao.read("secret/data/sealed")["data"] == {"a": "1"}


def test_a_paused_server_takes_connections_and_answers_when_it_resumes(bao: Bao) -> None:
    bao.put("paused", a="1")
    bao.pause()
    with pytest.raises(TimeoutError):
        bao.call("GET", "secret/data/paused", timeout=0.1)
    bao.resume()
    assert bao.read("secret/data/paused")["data"] == {"a": "1"}


def test_a_lasting_server_has_all_again_after_a_crash(lasting_bao: Bao) -> None:
    lasting_bao.put("kept", a="1")
    lasting_bao.kill()
    with pytest.raises(ConnectionRefusedError):
        lasting_bao.read("secret/data/kept")
    lasting_bao.start()
    assert lasting_bao.read("secret/data/kept")["data"] == {"a": "1"}
    lasting_bao.seal()
    lasting_bao.unseal()
    assert lasting_bao.read("secret/data/kept")["data"] == {"a": "1"}


def test_nothing_of_the_environment_reaches_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BAO_DEV_ROOT_TOKEN_ID", "ambient")
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Bao() as bao:
        bao.put("a", b="c")
        with refused(403):
            bao.read("secret/data/a", token="ambient")
