"""`brain secrets policy`: a real server takes it, and with it a file is served and nothing else read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.secrets import secrets
from proxy.cli.socket_client import ask
from proxy.config.models import VaultAuth, VaultMount, VaultSecrets
from proxy.secrets.vault.policy import Need, policy
from tests.cli.kit import ROOT, brain
from tests.functional.baokit import Bao
from tests.functional.baospace import Refused, Space
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.valkeykit import Server, serving
from tests.functional.vaultkit import Entry, bearer

TENANT = "tenants/${principal.tenant}"

PATHS = {
    "crm": f"{TENANT}/crm",
    "regional": f"{TENANT}/crm-${{claims.region}}",
    "old": "kv1/platform/old",
    "certified": "pki/issue/web",
    "database": "database/creds/app",
}
FIELDS = {"certified": "serial_number", "database": "username"}


def routes(section: str, url: str) -> str:
    text = f"""
        version: 1
        secrets: {section}
        plugins:
          - use: tests.functional.test_plugins_access:Unsigned
            as: tokens
        services:
    """
    for name, path in PATHS.items():
        field = FIELDS.get(name, "key")
        options = f'{{secret: "{path}", headers: {{X-Key: "${{secret.{field}}}"}}}}'
        text += f"""
          {name}:
            upstream: "{url}"
            plugins: [credentials: {options}]
        """
    return text


MOUNTS = (
    "mounts: {kv1: {engine: kv1}, database: {engine: dynamic}, "
    "pki: {engine: pki, parameters: {common_name: gw.example.com}}}"
)


def printed(file: Path) -> str:
    done = CliRunner().invoke(secrets, ["policy", str(file)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
async def valkey() -> AsyncIterator[Server]:
    async with serving("pass") as server:
        yield server


def fill(bao: Bao, valkey: Server) -> None:
    """Give the server what the file needs, and some of everything that it does not."""
    for tenant in ("acme", "globex"):
        for name in ("crm", "crm-eu", "other", "crm/deeper"):
            bao.put(f"tenants/{tenant}/{name}", key=f"key-of-{tenant}")
    bao.put("platform/root", key="not for the gateway")
    bao.kv1()
    for name in ("old", "other"):
        bao.write(f"kv1/platform/{name}", key="key-of-old")
    bao.pki()
    bao.write("pki/roles/other", allow_any_name=True, generate_lease=True, key_type="ec", ttl="1h")
    bao.database(valkey.port, "pass")


async def test_a_file_is_served_by_exactly_its_policy(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, valkey: Server, tmp_path: Path
) -> None:
    await asyncio.to_thread(fill, bao, valkey)
    nothing = 'path "none" { capabilities = ["deny"] }'
    entry = Entry.made(bao, tmp_path, nothing, token_no_default_policy=True)
    file = tmp_path / "routes.yaml"
    file.write_text(routes(entry.section(more=MOUNTS), upstream.url))
    rules = await asyncio.to_thread(printed, file)
    bao.policy(tmp_path.name.replace("_", "-"), rules)
    running = await gateway(file.read_text())
    for name in PATHS:
        reply = await running.get(f"/api/brain/{name}/x", bearer(tenant="acme", region="eu"))
        assert (name, reply.status) == (name, 200)
        assert upstream.last.header("X-Key")
    control = str(running.host.config.gateway.control)
    _, told = await asyncio.to_thread(ask, control, "GET", "/secrets")
    (store,) = told["stores"]
    assert (store["why"], store["logins"], store["leases"]) == (None, 1, 2)
    assert 0 < store["token_left"] <= 3600
    assert {row["path"]: row["version"] for row in told["secrets"]}["tenants/acme/crm"] == 1
    leased = [row for row in told["secrets"] if row["lease_left"] is not None]
    assert [row["path"] for row in leased] == ["database/creds/app", "pki/issue/web"]
    assert len(bao.leases("database/creds/app/")) == 1
    bao.forget_requests()
    await running.stop()
    # What was leased is given back one by one, and the token behind it.
    asked = [path for _, path in bao.requests()]
    assert asked.count("sys/leases/revoke") == 2
    assert asked[-1] == "auth/token/revoke-self"
    assert bao.leases("database/creds/app/") == []
    _denied(bao, rules)


DENIED = (
    ("GET", "secret/data/tenants/acme/other/deeper"),
    ("GET", "secret/data/tenants/acme/crm/deeper"),
    ("GET", "secret/data/tenants/acme"),
    ("GET", "secret/data/platform/root"),
    ("GET", "secret/metadata/tenants/acme/crm"),
    ("LIST", "secret/metadata/tenants"),
    ("POST", "secret/data/tenants/acme/crm"),
    ("DELETE", "secret/data/tenants/acme/crm"),
    ("GET", "kv1/platform/other"),
    ("POST", "kv1/platform/old"),
    ("POST", "pki/issue/other"),
    ("GET", "pki/roles/web"),
    ("GET", "database/config/valkey"),
    ("POST", "database/rotate-root/valkey"),
    ("POST", "auth/token/create"),
    ("GET", "sys/mounts"),
    ("PUT", "sys/seal"),
    ("LIST", "sys/leases/lookup/database/creds/app"),
)


def _denied(bao: Bao, rules: str) -> None:
    """See that a token with this policy alone is refused whatever the file does not need."""
    bao.policy("exactly", rules)
    token = bao.token("exactly", no_default_policy=True)
    bao.read("secret/data/tenants/globex/crm", token)
    for method, path in DENIED:
        with pytest.raises(Refused) as refused:
            bao.call(method, path, {"data": {"key": "x"}, "common_name": "x"}, token=token)
        assert (path, refused.value.status) == (path, 403)
    others = bao.call("POST", "pki/issue/other", {"common_name": "x"})["lease_id"]
    with pytest.raises(Refused, match="403"):
        bao.call("PUT", "sys/leases/revoke", {"lease_id": others}, token=token)


def test_partial_names_are_told_to_be_wider(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    section = '{vault: {address: "https://vault.example.com", auth: {token_file: token}}}'
    file.write_text(routes(section, "http://127.0.0.1:9"))
    rules = printed(file)
    assert f"# {file}:11 credentials services.crm\n" in rules
    assert "# all of crm-${claims.region}, and whatever else is there: " in rules
    assert 'path "secret/data/tenants/+/+" {\n  capabilities = ["read"]\n}' in rules
    # A token that was given is not given back.
    assert "renew-self" in rules
    assert "revoke-self" not in rules


# -- without a gateway

SETTINGS = VaultSecrets("https://vault.example.com", VaultAuth("approle", "approle", "role"))


def token_of(space: Space, rules: str) -> str:
    return space.token(space.policy("exactly", rules), no_default_policy=True)


def test_what_is_written_back_replaces_and_makes_nothing_new(bao: Bao) -> None:
    version = bao.put("oauth/acme/mail", token="one")
    bao.put("oauth/acme/web", token="one")
    need = Need("oauth/${principal.tenant}/mail", "routes.yaml:3 credentials", writes=True)
    token = token_of(bao, policy(SETTINGS, [need], "routes.yaml"))
    change = {"data": {"token": "two"}, "options": {"cas": version}}
    bao.call("POST", "secret/data/oauth/acme/mail", change, token=token)
    assert bao.read("secret/data/oauth/acme/mail", token)["data"] == {"token": "two"}
    for path in ("oauth/acme/web", "oauth/globex/mail"):
        with pytest.raises(Refused, match="403"):
            bao.call("POST", f"secret/data/{path}", {"data": {"token": "x"}}, token=token)


def test_mounts_of_namespaces_below_are_named_from_the_gateways_own(bao: Bao) -> None:
    team = bao.namespace("team")
    apps = team.namespace("apps")
    team.put("platform/x", key="x")
    apps.put("platform/y", key="y")
    lease = apps.pki()
    settings = VaultSecrets(
        SETTINGS.address,
        SETTINGS.auth,
        namespace="team",
        mount=VaultMount(namespace="team"),
        mounts=(
            VaultMount("below", "kv2", "team/apps"),
            VaultMount("pki", "pki", "team/apps"),
            VaultMount("other", "kv2", "elsewhere"),
        ),
    )
    apps.kv2("below")
    apps.write("below/data/y", data={"key": "y"})
    needs = [Need(path, "routes.yaml:3") for path in ("platform/x", "below/y", lease, "other/z")]
    rules = policy(settings, needs, "routes.yaml")
    assert "vault policy write -namespace=team brain brain.hcl" in rules
    assert "# Not here: other/data/z in 'elsewhere'" in rules
    token = token_of(team, rules)
    assert team.read("secret/data/platform/x", token)["data"] == {"key": "x"}
    assert apps.read("below/data/y", token)["data"] == {"key": "y"}
    made = apps.call("POST", lease, {"common_name": "x"}, token=token)["lease_id"]
    apps.call("PUT", "sys/leases/revoke", {"lease_id": made}, token=token)
    with pytest.raises(Refused, match="403"):
        apps.read("secret/data/platform/y", token)


def test_a_name_of_a_file_ends_no_comment(bao: Bao) -> None:
    title = 'routes\n}\npath "sys/*" { capabilities = ["sudo", "read"] }\n#.yaml'
    rules = policy(SETTINGS, [Need("platform/x", title)], title)
    assert '\npath "sys/*"' not in rules
    bao.policy("odd", rules)


# -- brain secrets check


def test_check_reads_with_the_role_of_the_file_and_gives_leases_back(
    bao: Bao, tmp_path: Path
) -> None:
    bao.put("tenants/acme/crm", key="s3same-v4lue")
    bao.put("tenants/acme/crm-north", other="s3same-v4lue")
    bao.kv1()
    bao.write("kv1/platform/old", key="s3same-v4lue")
    bao.pki(role="checked")
    entry = Entry.made(bao, tmp_path, 'path "kv1/*" { capabilities = ["read"] }')
    text = routes(entry.section(more=MOUNTS), "http://127.0.0.1:9")
    text = text.replace("pki/issue/web", "pki/issue/checked").split("          database:")[0]
    (tmp_path / "routes.yaml").write_text(text)
    options = (
        str(tmp_path / "routes.yaml"),
        "--json",
        "--tenant",
        "acme",
        "--claim",
        "region=north",
    )
    done = brain("secrets", "check", *options, cwd=ROOT)
    assert done.returncode == 1
    found = json.loads(done.stdout)["references"]
    assert [each["state"] for each in found] == ["forbidden", "forbidden", "ok", "forbidden"]
    bao.policy(tmp_path.name.replace("_", "-"), printed(tmp_path / "routes.yaml"))
    done = brain("secrets", "check", *options, cwd=ROOT)
    found = json.loads(done.stdout)["references"]
    assert [each["state"] for each in found] == ["ok", "lacks field", "ok", "ok"]
    version = bao.read("secret/data/tenants/acme/crm")["metadata"]["version"]
    assert [each["version"] for each in found] == [version, 1, None, None]
    assert "s3same" not in done.stdout + done.stderr
    assert bao.leases("pki/issue/checked/") == []


def test_check_does_not_open_a_wrapped_secret_id(bao: Bao, tmp_path: Path) -> None:
    entry = Entry.made(bao, tmp_path)
    section = entry.section().replace("secret_id_file", "wrapped: true, secret_id_file")
    file = tmp_path / "routes.yaml"
    file.write_text(routes(section, "http://127.0.0.1:9"))
    bao.forget_requests()
    done = brain("secrets", "check", str(file), cwd=ROOT)
    assert done.returncode == 1
    assert "warning[BG221]" in done.stdout
    assert "it can be opened once, and the gateway needs it" in done.stdout
    assert bao.requests() == []
