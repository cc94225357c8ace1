"""The section `secrets:` as frozen values; `models` is where they are imported from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.config.vault_models import VaultSecrets


@dataclass(frozen=True, slots=True)
class FileSecrets:
    """Secrets in a folder. `group_read`: the group may read its files, as Kubernetes leaves them."""

    path: str = "/run/secrets/brain"
    group_read: bool = False


@dataclass(frozen=True, slots=True)
class EnvSecrets:
    """Secrets in the environment: `variables` are those that begin with `prefix`, as loaded."""

    prefix: str = "BRAIN_SECRET_"
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SecretStores:
    """The stores of the section, None where it has none of that kind."""

    file: FileSecrets | None = None
    env: EnvSecrets | None = None
    vault: VaultSecrets | None = None

    @property
    def settings(self) -> Mapping[str, Mapping[str, object]]:
        """What the file says of each store, for a comparison: no value of a variable, no credential."""
        file, env = self.file, self.env
        of_file = {"path": file.path, "group_read": file.group_read} if file else {}
        of_env = {"prefix": env.prefix} if env else {}
        of_vault = self.vault.settings if self.vault else {}
        every: dict[str, Mapping[str, object]] = {"file": of_file, "env": of_env, "vault": of_vault}
        return {name: each for name, each in every.items() if each}
