"""A gateway in front of a real OpenBao server: its file, its role, its callers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.functional.baokit import Bao
from tests.functional.kit import Gateway, Reply, request
from tests.functional.loadkit import Load
from tests.functional.test_plugins_access import bearer, code_of

__all__ = ["bearer", "code_of"]

READ_ALL = 'path "secret/data/*" { capabilities = ["read"] }'
USE = 'headers: {Authorization: "Token ${secret.key}"}'
TENANTS = 'secret: "tenants/${principal.tenant}/crm"'

KINDS: dict[str, tuple[Callable[[Bao], None], Callable[[Bao], None]]] = {
    "killed": (Bao.kill, Bao.start),
    "sealed": (Bao.seal, Bao.unseal),
    "paused": (Bao.pause, Bao.resume),
}
"""How a server goes away, and how it comes back; who is killed has to be persistent."""


@dataclass(frozen=True)
class Entry:
    """A role of a server for the gateway, and where its secret id stands."""

    bao: Bao
    role: str
    file: Path

    @classmethod
    def made(cls, bao: Bao, folder: Path, rules: str = READ_ALL, **role: Any) -> Entry:
        """Make a policy and a role named after a test's folder; `role` is `ttl`, `max_ttl`…"""
        name = folder.name.replace("_", "-")
        role_id, secret_id = bao.approle(name, bao.policy(name, rules), **role)
        file = folder / "secret-id"
        file.write_text(secret_id)
        file.chmod(0o600)
        return cls(bao, role_id, file)

    def section(self, cache: str = "{fresh: 1s}", more: str = "") -> str:
        """Return the section `secrets`, in one line."""
        auth = f"{{approle: {{role_id: {self.role}, secret_id_file: {self.file}}}}}"
        return (
            f'{{vault: {{address: "{self.bao.address}", auth: {auth}, cache: {cache}'
            f"{', ' if more else ''}{more}}}}}"
        )


def routes(section: str, url: str, options: str = f"{TENANTS}, {USE}", more: str = "") -> str:
    """Return a file with the service `crm`, whose callers are who they say, and `open` without."""
    return f"""
        version: 1
        secrets: {section}
        plugins:
          - use: tests.functional.test_plugins_access:Unsigned
            as: tokens
        services:
          crm:
            upstream: "{url}"
            plugins:
              - credentials: {{{options}}}
          open:
            upstream: "{url}"
            public: true
          {more}
    """


def calling(tenant: str, path: str = "/api/brain/crm/x", **more: Any) -> bytes:
    """Return a request of a tenant's user; `more` is `method` and `body`."""
    return request(path, bearer(tenant=tenant), **more)


async def ask(running: Gateway, tenant: str) -> Reply:
    return await running.ask(calling(tenant))


def write_keys(bao: Bao, tenants: Sequence[str]) -> None:
    """Give each tenant the key `key-of-TENANT`."""
    for tenant in tenants:
        bao.put(f"tenants/{tenant}/crm", key=f"key-of-{tenant}")


def p99(seen: Load, since: float = 0.0, until: float = float("inf")) -> float:
    """Return within which time 99 of 100 requests were answered that began in a span."""
    times = sorted(one.seconds for one in seen.outcomes if since <= one.at < until)
    return times[int(len(times) * 0.99)]
