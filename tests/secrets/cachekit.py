"""A store that says what the test wants it to, and a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from proxy.ports.secrets import Keeping, Lease, Secret, SecretStore


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class ScriptedStore(SecretStore):
    """`says` is what it gives for every path, or raises; `hold` keeps it from answering."""

    def __init__(self, keeping: Keeping, **fields: str) -> None:
        self.keeping = keeping
        self.says: Secret | Mapping[str, str] | Exception = fields
        self.renews: Lease | Exception = Lease("none", 0.0, renewable=False)
        self.asked = 0
        self.renewed: list[str] = []
        self.revoked: list[str] = []
        self.hold: asyncio.Event | None = None
        self.closed = False

    async def get(self, path: str) -> Secret:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says if isinstance(self.says, Secret) else Secret(dict(self.says))

    def remedy(self, path: str, field: str) -> str:
        return f"put {path}#{field} there"

    async def put(self, path: str, fields: Mapping[str, str], version: int) -> Secret:
        return Secret(dict(fields), version + 1)

    async def renew(self, lease: Lease) -> Lease:
        self.renewed.append(lease.id)
        if isinstance(self.renews, Exception):
            raise self.renews
        return self.renews

    async def revoke(self, lease: Lease) -> None:
        self.revoked.append(lease.id)

    async def close(self) -> None:
        self.closed = True
