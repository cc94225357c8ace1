"""From a path of the file to a mount of the server, and to the API's own path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proxy.config.models import VaultMount, VaultSecrets
from proxy.ports.secrets import SecretMissing, is_path

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names: `rest` is below the mount."""

    mount: VaultMount
    rest: str

    @property
    def path(self) -> str:
        """The API's path, as a policy names it."""
        below = f"data/{self.rest}" if self.mount.engine == "kv2" else self.rest
        return f"{self.mount.name}/{below}"


class Places:
    """The mounts of a store: the longest one that a path begins with takes it."""

    def __init__(self, settings: VaultSecrets) -> None:
        self._default = settings.mount
        self._mounts = _longest_first(settings.mounts)
        self._every = _longest_first((*settings.mounts, settings.mount))

    def of_path(self, path: str) -> Place:
        """Return what a path names. Raises SecretMissing where it can't name anything."""
        if not is_path(path):
            # Whoever wrote it may have wanted to be read in a log: what is unusual is escaped.
            raise SecretMissing(f"{path[:_SHOWN]!a} is no path of a secret")
        for mount in self._mounts:
            if path == mount.name:
                raise SecretMissing(f"'{path}' is a mount: name what is below it")
            if path.startswith(f"{mount.name}/"):
                return Place(mount, path.removeprefix(f"{mount.name}/"))
        return Place(self._default, path)

    def of_lease(self, lease: str) -> VaultMount:
        """Return the mount that has made a lease: its id begins with the API's path."""
        return next(
            (each for each in self._every if lease.startswith(f"{each.name}/")), self._default
        )


def _longest_first(mounts: Iterable[VaultMount]) -> tuple[VaultMount, ...]:
    return tuple(sorted(mounts, key=lambda mount: len(mount.name), reverse=True))
