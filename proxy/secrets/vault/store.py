"""The store `vault`: places, a token, calls, and what they mean, put together."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.config.models import VaultSecrets
from proxy.ports.secrets import (
    Lease,
    Secret,
    SecretAway,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
    SecretStore,
    StoreState,
)
from proxy.secrets.vault import engines
from proxy.secrets.vault.answers import Answer, Call
from proxy.secrets.vault.identity import Identity
from proxy.secrets.vault.places import Places
from proxy.secrets.vault.remedies import remedy
from proxy.secrets.vault.transport import Transport


class VaultStore(SecretStore):
    """HashiCorp Vault or OpenBao. `platform/redis` is `secret/data/platform/redis` by default.

    Nothing is connected, read or imported before the first `get`. It keeps no secret: its token is
    all that it holds.
    """

    def __init__(self, settings: VaultSecrets) -> None:
        self._address = settings.address
        self._places = Places(settings)
        self._transport = Transport(settings)
        self._identity = Identity(settings, self._transport, self._leases_end)
        self._closed = False
        self.keeping = settings.cache

    def __repr__(self) -> str:
        return f"<VaultStore {self._address}>"

    def _leases_end(self, within: float) -> None:
        if self.on_leases_end is not None:
            self.on_leases_end(within)

    async def open(self) -> None:
        """Log in. Raises SecretError."""
        await self._identity.token()

    async def get(self, path: str) -> Secret:
        """Return what is at `path`. Raises SecretError."""
        place = self._places.of_path(path)
        return engines.secret_of(place, await self._ask(engines.reading(place)))

    async def _ask(self, call: Call) -> Answer:
        """Ask with the token; once more with another one, where the token is what was refused."""
        if self._closed:
            raise SecretAway("the store is closed")
        token = await self._identity.token()
        try:
            return await self._transport.ask(call, token.value)
        except SecretForbidden:
            another = await self._identity.after_refusal(token)
            if another is None:
                raise
        try:
            return await self._transport.ask(call, another.value)
        except SecretForbidden:
            await self._identity.refused_again(another)
            raise

    def remedy(self, path: str, field: str) -> str:
        """Name the command that writes it, with the value from its standard input."""
        return self._remedy(path, field, there=False)

    def remedy_of_field(self, path: str, field: str) -> str:
        """Name the one that adds a field: `put` would take the others away."""
        return self._remedy(path, field, there=True)

    def _remedy(self, path: str, field: str, *, there: bool) -> str:
        try:
            return remedy(self._places.of_path(path), field, self._address, there=there)
        except SecretMissing as error:
            return f"name another path: {error}"

    def writes(self, path: str) -> str | None:
        """Only KV version 2 has check-and-set."""
        try:
            engine = self._places.of_path(path).mount.engine
        except SecretMissing as error:
            return str(error)
        return None if engine == "kv2" else f"only KV version 2 is written, and this is '{engine}'"

    async def put(self, path: str, fields: Mapping[str, str], version: int) -> Secret:
        """Write what replaces `version`. Raises SecretConflict where that is not the last one."""
        if self.writes(path) is not None:
            return await super().put(path, fields, version)
        place = self._places.of_path(path)
        read = await self._ask(engines.reading(place))
        answer = await self._ask(engines.writing(place, read, fields, version))
        return Secret(dict(fields), engines.version_of(answer, place))

    async def renew(self, lease: Lease) -> Lease:
        """Return what is left of a lease now. Raises SecretMissing where it ends or has ended."""
        try:
            answer = await self._ask(engines.renewing(lease, self._places.of_lease(lease.id)))
        except SecretMalformed:  # 400: the server knows no such lease
            raise SecretMissing("the lease has ended") from None
        except SecretForbidden as error:  # of the renewal, not of the secret: it is read again
            raise SecretMissing(f"the lease can't be renewed: {error}") from None
        renewed = engines.lease_of(answer)
        if renewed is None:
            raise SecretMissing("the lease has ended")
        return renewed

    async def revoke(self, lease: Lease) -> None:
        """Give a lease back. A certificate without one is left to end by itself."""
        if lease.id:
            await self._ask(engines.revoking(lease, self._places.of_lease(lease.id)))

    def state(self) -> StoreState:
        """Return why the server, or the token, is not to be had now, and how the token fares."""
        identity = self._identity
        return StoreState(
            self._transport.why or identity.why, identity.left, identity.logins, identity.renewals
        )

    async def close(self) -> None:
        """Give the token back, and let go of threads and connections."""
        self._closed = True
        await self._identity.close()
        self._transport.close()
