"""The section `secrets.vault` as frozen values; `models` is where they are imported from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.ports.secrets import Keeping


@dataclass(frozen=True, slots=True)
class VaultAuth:
    """How the gateway logs in. `method` is the key that the file has below `auth`.

    `role` is the role's name, for `approle` its role_id. `file` is where the credential stands, and
    `credential` the token or the secret_id that came from the environment: one of the two is there.
    `wrapped`: what stands in `file` is a wrapping token.
    """

    method: str
    mount: str = ""
    role: str = ""
    file: str | None = None
    credential: str = field(default="", repr=False)
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class VaultMount:
    """Where an engine is mounted. `engine` is kv2, kv1, dynamic or pki.

    `namespace` is its full name, "" for the root. `parameters` go with each certificate.
    """

    name: str = "secret"
    engine: str = "kv2"
    namespace: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VaultSecrets:
    """Secrets in HashiCorp Vault or OpenBao. `address` has no slash at its end.

    `mount` takes the paths that none of `mounts` does. `namespace` is where the gateway logs in.
    """

    address: str
    auth: VaultAuth
    namespace: str = ""
    ca: str | None = None
    timeout: float = 2.0
    mount: VaultMount = field(default_factory=VaultMount)
    mounts: tuple[VaultMount, ...] = ()
    cache: Keeping = field(default_factory=lambda: Keeping(60.0, 12 * 3600.0))

    @property
    def settings(self) -> Mapping[str, object]:
        """What the file says of it, for a comparison: no credential."""
        auth, cache = self.auth, self.cache
        method = {
            "mount": auth.mount,
            "role": auth.role,
            "file": auth.file,
            "wrapped": auth.wrapped,
        }
        return {
            "address": self.address,
            "namespace": self.namespace,
            "ca": self.ca,
            "timeout": self.timeout,
            "auth": {auth.method: {key: value for key, value in method.items() if value}},
            **_of(self.mount, "mount"),
            "mounts": {each.name: _of(each) for each in self.mounts},
            "cache": {
                "fresh": cache.fresh,
                "stale_if_error": cache.stale_if_error,
                "negative": cache.negative,
                "most": cache.most,
            },
        }


def _of(mount: VaultMount, name: str | None = None) -> dict[str, object]:
    told: dict[str, object] = {} if name is None else {name: mount.name}
    told["engine"] = mount.engine
    if mount.namespace:
        told["namespace"] = mount.namespace
    if mount.parameters:
        told["parameters"] = dict(mount.parameters)
    return told
