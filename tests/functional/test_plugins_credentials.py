"""Credentials on a real gateway: the right tenant's arrives, and nobody else ever sees it."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from proxy.config.load import InvalidConfig
from proxy.errors import ConfigError
from proxy.ports.secrets import Keeping
from proxy.secrets.files import FileStore
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply
from tests.functional.tenantkit import ACME, BETA, TenantServer, hides
from tests.functional.test_plugins_access import bearer, code_of

SECRETS = {"acme": "s3same-of-acme", "globex": "s3same-of-globex"}


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileStore, "keeping", Keeping(fresh=0.05, negative=0.05))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for tenant, key in SECRETS.items():
        put(tmp_path / f"kept/tenants/{tenant}/crm.yaml", f"key: {key}\n")
    return tmp_path / "kept"


def put(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + "~")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)


def routes(url: str, options: str = "", more: str = "") -> str:
    options = options or (
        'secret: "tenants/${principal.tenant}/crm", headers: {Authorization: "Token ${secret.key}"}'
    )
    return f"""
        version: 1
        secrets: {{file: {{path: kept}}}}
        plugins:
          - access-log
          - use: tests.functional.test_plugins_access:Unsigned
            as: tokens
        services:
          crm:
            upstream: "{url}"
            plugins:
              - credentials: {{{options}}}
          {more}
    """


async def ask(running: Gateway, tenant: str | None = "acme", path: str = "/crm/x") -> Reply:
    token = bearer() if tenant is None else bearer(tenant=tenant)
    return await running.get(f"/api/brain{path}", token)


async def test_each_tenants_own_arrives_in_place_of_the_callers_token(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path
) -> None:
    running = await gateway(routes(upstream.url))
    for tenant, key in SECRETS.items():
        assert (await ask(running, tenant)).status == 200
        assert upstream.last.all("Authorization") == [f"Token {key}"]


async def test_other_services_never_get_it(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path
) -> None:
    running = await gateway(routes(upstream.url, more=f"other: {{upstream: '{upstream.url}'}}"))
    await ask(running)
    await ask(running, path="/other/x")
    assert "s3same" not in str(upstream.last.raw_head)


async def test_who_has_not_connected_it_is_told_so_and_the_upstream_is_not_asked(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path
) -> None:
    running = await gateway(routes(upstream.url))
    reply = await ask(running, "initech")
    assert (reply.status, code_of(reply)) == (424, "credential_missing")
    assert "initech" not in reply.body.decode()
    assert "tenants" not in reply.body.decode()
    put(kept / "tenants/initech/crm.yaml", "key: s3same-l8er")
    await asyncio.sleep(0.1)
    assert (await ask(running, "initech")).status == 200


async def test_one_that_may_not_be_read_is_the_operators_fault(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path
) -> None:
    running = await gateway(routes(upstream.url))
    put(kept / "tenants/acme/crm.yaml", "key: s3same", mode=0o644)
    reply = await ask(running)
    assert (reply.status, code_of(reply)) == (502, "secret_forbidden")
    assert not upstream.seen


async def test_one_with_a_line_break_is_never_sent(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = await gateway(routes(upstream.url))
    put(kept / "tenants/acme/crm.yaml", 'key: "s3same\\r\\nX-Admin: 1"')
    reply = await ask(running)
    assert (reply.status, code_of(reply)) == (502, "credential_invalid")
    assert not upstream.seen
    assert "s3same" not in caplog.text


async def test_a_caller_without_a_tenant_gets_nobodys(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path
) -> None:
    running = await gateway(routes(upstream.url))
    reply = await ask(running, None)
    assert (reply.status, code_of(reply)) == (403, "claim_missing")
    reply = await ask(running, "../acme")
    assert (reply.status, code_of(reply)) == (403, "claim_invalid")
    assert not upstream.seen


async def test_the_log_says_which_was_used_by_the_words_of_the_file(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    running = await gateway(routes(upstream.url))
    await ask(running)
    await running.stop()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line[:1] == "{"]
    asked = [line for line in lines if line.get("route") == "crm"]
    assert [line["credential"] for line in asked] == ["tenants/${principal.tenant}/crm"]
    assert asked[0]["tenant"] == "acme"


async def test_several_stand_side_by_side(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path
) -> None:
    put(kept / "platform/ads.yaml", "token: s3same-of-all")
    running = await gateway(
        f"""
        version: 1
        secrets: {{file: {{path: kept}}}}
        plugins: [{{use: "tests.functional.test_plugins_access:Unsigned", as: tokens}}]
        services:
          ads:
            upstream: "{upstream.url}"
            plugins:
              - credentials:
                  secret: platform/ads
                  headers: {{developer-token: "${{secret.token}}"}}
              - credentials:
                  secret: "tenants/${{principal.tenant}}/crm"
                  headers: {{Authorization: "Bearer ${{secret.key}}"}}
                as: of-tenant
        """
    )
    assert (await ask(running, path="/ads/x")).status == 200
    assert upstream.last.header("developer-token") == "s3same-of-all"
    assert upstream.last.header("Authorization") == "Bearer s3same-of-acme"


async def test_a_path_that_is_the_same_for_all_is_read_before_the_file_serves(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path
) -> None:
    options = 'secret: platform/none, headers: {X-Key: "${secret.key}"}'
    with pytest.raises(ConfigError, match="platform/none") as raised:
        await gateway(routes(upstream.url, options))
    assert "routes0.yaml:12:" in str(raised.value)


@pytest.mark.parametrize(
    ("options", "line", "said"),
    [
        ('secret: "${principal.tenant}/crm", headers: {X-K: "${secret.k}"}', 12, "first segment"),
        (
            'secret: "tenants/${request.header.X-Tenant-Id}", headers: {X-K: "${secret.k}"}',
            12,
            "request",
        ),
        (
            'secret: "tenants/${principal.tenant}-${claims.user}", headers: {X-K: "${secret.k}"}',
            12,
            "can't be told apart",
        ),
        ('secret: a, store: vault, headers: {X-K: "${secret.k}"}', 12, "no store 'vault'"),
        ("secret: a", 12, "nothing is put anywhere"),
        (
            'secret: a, base_url: "${secret.u}", hosts: {suffixes: ["*.shops.example"]}',
            12,
            "no host name",
        ),
    ],
)
async def test_what_can_not_be_meant_is_refused_with_its_line(
    gateway: MakeGateway, upstream: RecordingUpstream, options: str, line: int, said: str
) -> None:
    with pytest.raises(InvalidConfig) as raised:
        await gateway(routes(upstream.url, options))
    assert said in str(raised.value)
    assert f"routes0.yaml:{line}:" in str(raised.value)


async def test_the_environment_keeps_nobodys_own(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    text = routes(upstream.url).replace("{file: {path: kept}}", "{env: {}}")
    with pytest.raises(InvalidConfig, match="can't tell callers apart"):
        await gateway(text)


async def test_a_mirror_never_gets_it(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path
) -> None:
    copies = RecordingUpstream()
    await copies.start()
    try:
        mirror = f'mirror: {{upstream: "{copies.url}", share: 100%}}'
        text = routes(upstream.url).replace("upstream:", f"{mirror}\n            upstream:", 1)
        running = await gateway(text)
        assert (await ask(running)).status == 200
        async with asyncio.timeout(3):
            while not copies.seen:
                await asyncio.sleep(0.01)
        assert "s3same" not in str(copies.last.raw_head)
    finally:
        await copies.close()


async def test_values_stand_in_no_log_and_no_page(
    gateway: MakeGateway, upstream: RecordingUpstream, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    running = await gateway(routes(upstream.url))
    for tenant in (*SECRETS, "initech", None):
        await ask(running, tenant)
    pages = [await running.admin(page) for page in ("/config", "/ready", "/metrics", "/health")]
    assert "s3same" not in caplog.text + "".join(page.body.decode() for page in pages)


# -- hosts of tenants


def shops(tenant: TenantServer, ca: Path, hosts: str) -> str:
    options = (
        'secret: "tenants/${principal.tenant}/shop", base_url: "${secret.base_url}", '
        f'headers: {{X-Key: "${{secret.key}}"}}, hosts: {{{hosts}, ports: [{tenant.port}]}}'
    )
    text = routes("https://shop.invalid/v1", options)
    return text.replace(
        'upstream: "https://shop.invalid/v1"',
        f'upstream: {{url: "https://shop.invalid/v1", tls: {{ca: "{ca}"}}}}',
    )


def connect(kept: Path, tenant: str, base_url: str) -> None:
    put(kept / f"tenants/{tenant}/shop.yaml", f"key: s3same-of-{tenant}\nbase_url: {base_url}\n")


async def test_each_tenants_requests_go_to_the_host_of_its_own_secret(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path, kept: Path
) -> None:
    for name, host in (("acme", ACME), ("globex", BETA)):
        connect(kept, name, f"https://{host}:{tenant.port}/of-{name}")
    running = await gateway(
        shops(tenant, tenant_ca, "suffixes: [shops.example], networks: [127.0.0.0/8]")
    )
    for name, host in (("acme", ACME), ("globex", BETA)):
        assert (await ask(running, name, "/crm/x?y=1")).status == 200
        assert tenant.named[-1] == host
        assert tenant.last.target == f"/of-{name}/x?y=1"
        assert tenant.last.header("X-Key") == f"s3same-of-{name}"


@pytest.mark.parametrize(
    ("base_url", "hosts", "refused"),
    [
        ("https://evil.example/", "suffixes: [shops.example]", (502, "credential_invalid")),
        ("http://{host}:{port}/", "suffixes: [shops.example]", (502, "credential_invalid")),
        ("https://127.0.0.1:{port}/", "suffixes: []", (502, "credential_invalid")),
        ("https://u:p@{host}:{port}/", "suffixes: []", (502, "credential_invalid")),
        ("https://{host}:{port}/", "suffixes: []", (502, "tenant_address_refused")),
    ],
)
async def test_no_secret_leads_where_the_operator_does_not_let_it(
    gateway: MakeGateway,
    tenant: TenantServer,
    tenant_ca: Path,
    kept: Path,
    base_url: str,
    hosts: str,
    refused: tuple[int, str],
) -> None:
    connect(kept, "acme", base_url.format(host=ACME, port=tenant.port))
    running = await gateway(shops(tenant, tenant_ca, hosts))
    reply = await ask(running)
    assert (reply.status, code_of(reply)) == refused
    assert not tenant.seen
    assert hides(reply)


async def test_a_secret_without_a_host_sends_its_credential_nowhere(
    gateway: MakeGateway, tenant: TenantServer, tenant_ca: Path, kept: Path
) -> None:
    put(kept / "tenants/acme/shop.yaml", "key: s3same")
    running = await gateway(shops(tenant, tenant_ca, "networks: [127.0.0.0/8]"))
    reply = await ask(running)
    assert (reply.status, code_of(reply)) == (424, "credential_missing")
