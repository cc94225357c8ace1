"""docs/vault.md: every command works, in its order, from an empty server to the shipped file and on."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port

from tests.functional.baokit import Bao
from tests.functional.dockit import Shell, steps
from tests.functional.keykit import KeyServer
from tests.functional.kit import RecordingUpstream

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "vault.md").read_text()
SHIPPED = (ROOT / "routes.yaml").read_text()
KEYS = {
    "LAGO_KEY": "s3same-of-all",
    "ACME_KEY": "s3same-of-acme",
    "ACME_NEW_KEY": "s3same-of-acme-2",
    "GLOBEX_KEY": "s3same-of-globex",
    "DATABASE_PASSWORD": "s3same-of-database",
}


@dataclass
class Operator:
    """Who follows the page. `said` and `sent` have what commands of a section said, and what the
    upstream has been sent as Authorization by its end.
    """

    bao: Bao
    upstream: RecordingUpstream
    shell: Shell
    listen: str
    admin: str
    said: dict[str, str] = field(default_factory=dict)
    sent: dict[str, list[str | None]] = field(default_factory=dict)

    async def run(self, commands: str) -> str:
        own = commands.replace("127.0.0.1:8080", self.listen).replace("127.0.0.1:9901", self.admin)
        return await self.shell.run(own)

    async def follow(self, page: str) -> None:
        for section, text, file in steps(page):
            if file is not None:
                (self.shell.folder / file).write_text(text)
                continue
            self.said[section] = self.said.get(section, "") + await self.run(text)
            self.sent[section] = [one.header("Authorization") for one in self.upstream.seen]

    async def ask(self, tenant: str) -> str:
        """Return body and status of what a tenant's user gets of the CRM."""
        token = f'-H "Authorization: Bearer ${tenant.upper()}_TOKEN"'
        address = "http://127.0.0.1:8080/api/brain/crm/contacts"
        return await self.run(f"curl -s -m 5 -w ' %{{http_code}}' {token} {address}")

    def log(self) -> str:
        return (self.shell.folder / "brain.log").read_text()


@pytest.fixture
async def operator(issuer: KeyServer, upstream: RecordingUpstream) -> AsyncIterator[Operator]:
    """Give somebody an empty server, the shipped file, and a shell with the page's variables."""
    listen, admin = f"127.0.0.1:{unused_port()}", f"127.0.0.1:{unused_port()}"
    with Bao() as bao, tempfile.TemporaryDirectory(prefix="docs-") as name:
        bao.call("DELETE", "sys/mounts/secret")
        (Path(name) / "routes.yaml").write_text(SHIPPED)
        (Path(name) / "workload.jwt").write_text(issuer.mint(aud="vault", sub="brain-gateway"))
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": name,
            "BAO_ADDR": bao.address,
            "BAO_TOKEN": bao.root,
            "BRAIN_LISTEN": listen,
            "BRAIN_ADMIN": admin,
            "BRAIN_CONTROL": f"{name}/brain.sock",
            "BRAIN_ISSUER": issuer.issuer,
            "WORKLOAD_ISSUER": issuer.issuer,
            "DJANGO_CRM_URL": upstream.url,
            "LAGO_URL": upstream.url,
            "ACME_TOKEN": issuer.mint(),
            "GLOBEX_TOKEN": issuer.mint(tenant_id="globex"),
            **KEYS,
        }
        shell = await asyncio.to_thread(Shell, Path(name), environment)
        try:
            yield Operator(bao, upstream, shell, listen, admin)
        finally:
            await asyncio.to_thread(shell.end)


def reasons() -> list[str]:
    """Return what the table of states says that a reason says."""
    table = PAGE.partition("\n## What happens when\n")[2].partition("\n## ")[0]
    rows = [row.split(" | ") for row in table.splitlines() if row.startswith("| ")][2:]
    return [words for row in rows for words in re.findall(r"`([^`]+)`", row[3])]


async def test_the_page_leads_from_an_empty_server_to_each_tenants_own_credential_and_on(
    operator: Operator,
) -> None:
    await operator.follow(PAGE)
    said, sent = operator.said, operator.sent
    assert 'path "secret/data/tenants/+/connectors/django-crm"' in said["2. The policy"]
    first = ["Token s3same-of-acme", "Token s3same-of-globex", "Bearer s3same-of-all"]
    assert sent["5. The gateway"] == first
    assert sent["Rotate a credential"] == [*first, "Token s3same-of-acme-2"]
    # A tenant whose credential was taken back is refused before anything is sent.
    assert sent["Take a tenant's credential back"] == sent["Rotate a credential"]
    assert "credential_missing" in said["Take a tenant's credential back"]
    assert sent["Who used which secret"][-1] == "Token s3same-of-acme"
    assert (
        '"tenant":"acme","credential":"tenants/${principal.tenant}/connectors/django-crm version 3"'
        in (said["Who used which secret"])
    )
    for known in ("Namespaces", "Other ways to log in"):
        assert "1 reference: 1 ok" in said[known]
    assert "1200" in said["Hardening"]
    everything = "".join(said.values()) + operator.log()
    assert not [value for value in KEYS.values() if value in everything]

    operator.bao.seal()
    assert "503" in await operator.ask("globex")
    assert "is sealed (503)" in await operator.run("curl -s http://127.0.0.1:9901/ready")
    assert "200" in await operator.ask("acme")


def test_what_the_page_says_of_states_is_what_the_store_says() -> None:
    source = "".join(each.read_text() for each in (ROOT / "proxy" / "secrets").rglob("*.py"))
    found = reasons()
    assert len(found) > 12
    # The words before a place or a number, which differ.
    assert [each for each in found if re.split(r" \(| secret/| auth/", each)[0] not in source] == []
