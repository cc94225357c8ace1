"""The store `vault` in a gateway that serves: tenants' credentials from a real server."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from proxy.errors import ConfigError
from tests.functional.baokit import Bao
from tests.functional.baospace import Refused
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.plugins_for_tests import HERE
from tests.functional.test_plugins_access import bearer, code_of

READ = 'path "secret/data/*" { capabilities = ["read"] }'


def routes(url: str, address: str, role_id: str, more: str = "") -> str:
    return f"""
        version: 1
        secrets:
          vault:
            address: {address}
            auth: {{approle: {{role_id: {role_id}, secret_id: "${{SECRET_ID}}"}}}}
        plugins:
          - use: tests.functional.test_plugins_access:Unsigned
            as: tokens
        services:
          crm:
            upstream: "{url}"
            plugins:
              - credentials:
                  secret: tenants/${{principal.tenant}}/crm
                  headers: {{Authorization: "Token ${{secret.key}}"}}
          {more}
    """


def bound(url: str) -> str:
    key = "{secret: platform/redis, field: url}"
    return f'echo: {{upstream: "{url}", plugins: [{{use: "{HERE}:Sealed", with: {{key: {key}}}}}]}}'


@pytest.fixture
def role(bao: Bao) -> tuple[str, str]:
    for tenant in ("acme", "globex"):
        bao.put(f"tenants/{tenant}/crm", key=f"s3same-of-{tenant}")
    return bao.approle("gateway", bao.policy("gateway", READ))


async def test_each_tenants_credential_arrives_by_one_login_and_one_read(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    bao: Bao,
    role: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    bao.forget_requests()
    running = await gateway(routes(upstream.url, bao.address, role[0]), SECRET_ID=role[1])
    for _ in range(3):
        for tenant in ("acme", "globex"):
            reply = await running.get("/api/brain/crm/x", bearer(tenant=tenant))
            assert reply.status == 200
            assert upstream.last.all("Authorization") == [f"Token s3same-of-{tenant}"]
    assert (await running.get("/api/brain/crm/x", bearer(tenant="initech"))).status == 424
    running.path.write_text(running.path.read_text() + "# another comment\n")
    await running.reload()
    assert (await running.get("/api/brain/crm/x", bearer(tenant="acme"))).status == 200
    assert bao.logins() == 1
    assert [bao.reads(f"tenants/{tenant}/crm") for tenant in ("acme", "globex")] == [1, 1]
    pages = [
        (await running.admin(page)).body.decode() for page in ("/config", "/ready", "/metrics")
    ]
    assert "${SECRET_ID}" in pages[0]
    for private in (role[1], "s3same-of"):
        assert private not in "".join(pages) + caplog.text
    await running.stop()
    assert ("update", "auth/token/revoke-self") in bao.requests()


async def test_a_login_that_is_refused_refuses_what_is_bound_at_its_line(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, role: tuple[str, str]
) -> None:
    text = routes(upstream.url, bao.address, role[0], bound(upstream.url))
    with pytest.raises(ConfigError, match="refuses the login at auth/approle/login") as raised:
        await gateway(text, SECRET_ID="wrong")
    assert "wrong" not in str(raised.value)


async def test_a_server_that_is_away_at_the_start_is_asked_until_it_is_there(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, role: tuple[str, str]
) -> None:
    bao.put("platform/redis", url="redis://a")
    await asyncio.to_thread(bao.seal)
    try:
        text = routes(upstream.url, bao.address, role[0], bound(upstream.url))
        running = await gateway(text, SECRET_ID=role[1])
        reply = await running.get("/api/brain/crm/x", bearer(tenant="acme"))
        assert (reply.status, code_of(reply)) == (503, "secret_unavailable")
        assert "sealed" not in reply.body.decode()
        checks = json.loads((await running.admin("/ready")).body)["checks"]
        assert "is sealed (503)" in checks["secrets vault"]
    finally:
        await asyncio.to_thread(bao.unseal)
    async with asyncio.timeout(5):
        while (await running.get("/api/brain/crm/x", bearer(tenant="acme"))).status != 200:
            await asyncio.sleep(0.05)
        while (await running.get("/api/brain/echo/x", bearer(tenant="acme"))).status != 200:
            await asyncio.sleep(0.05)


async def test_one_that_a_policy_forbids_is_the_operators_fault(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao
) -> None:
    bao.put("tenants/acme/crm", key="s3same")
    role_id, secret_id = bao.approle("narrow", bao.policy("narrow", READ.replace("*", "other/*")))
    running = await gateway(routes(upstream.url, bao.address, role_id), SECRET_ID=secret_id)
    reply = await running.get("/api/brain/crm/x", bearer(tenant="acme"))
    assert (reply.status, code_of(reply)) == (502, "secret_forbidden")
    with pytest.raises(Refused):
        bao.read("secret/data/none")
