"""Secrets in the environment: what a container's platform puts there."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from proxy.config.models import EnvSecrets
from proxy.ports.secrets import Keeping, Secret, SecretMalformed, SecretStore

_OTHER = re.compile(r"[^A-Z0-9]")


class EnvStore(SecretStore):
    """`platform/redis` and `url` are `<prefix>PLATFORM_REDIS_URL`, as it was when loaded.

    An empty variable counts as none: Compose sets those that it does not know.
    """

    keeping = Keeping(fresh=math.inf)

    def __init__(self, settings: EnvSecrets) -> None:
        self._prefix = settings.prefix
        self._variables = settings.variables

    def __repr__(self) -> str:
        return f"<EnvStore {self._prefix}>"

    async def get(self, path: str) -> Secret:
        """Return what is at `path`: no fields where no variable is set. They raise SecretMalformed."""
        return Secret(_Fields(f"{self._prefix}{_name(path)}_", self._variables))

    def remedy(self, path: str, field: str) -> str:
        """Name the variable."""
        return f"set {self._prefix}{_name(path)}_{_name(field)}"


def _name(text: str) -> str:
    return _OTHER.sub("_", text.upper())


class _Fields(Mapping[str, str]):
    """Fields by the names that files use for them."""

    def __init__(self, prefix: str, variables: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._variables = variables

    def __getitem__(self, field: str) -> str:
        variable = self._prefix + _name(field)
        value = self._variables[variable]
        if not value:
            raise KeyError(field)
        if not value.isprintable() and not _is_unicode(value):
            raise SecretMalformed(f"{variable} is not UTF-8")
        return value

    def __iter__(self) -> Iterator[str]:
        begin = len(self._prefix)
        return (name[begin:].lower() for name in self._variables if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _is_unicode(text: str) -> bool:
    """Say whether a text holds no byte that could not be decoded (PEP 383)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
