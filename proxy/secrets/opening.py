"""The stores of the section `secrets`, each imported where the file has it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from proxy.config.models import SecretStores
from proxy.ports.secrets import SecretStore
from proxy.secrets.cache import SecretCache


class StoreMaker(NamedTuple):
    """What makes a store: `key` is the same for the same settings, values of the environment too."""

    name: str
    key: tuple[str, str]
    make: Callable[[], SecretCache]


def store_makers(section: SecretStores) -> Iterator[StoreMaker]:
    """Yield what makes each store that the section has."""
    for field in fields(section):
        settings = getattr(section, field.name)
        if settings is not None:
            digest = blake2b(pickle.dumps(settings), digest_size=16).hexdigest()
            key = "", f"secrets {field.name} {digest}"
            yield StoreMaker(field.name, key, partial(_make, field.name, settings))


def _make(name: str, settings: Any) -> SecretCache:
    return SecretCache(name, _STORES[name](settings))


def _file(settings: Any) -> SecretStore:
    from proxy.secrets.files import FileStore

    return FileStore(settings)


def _env(settings: Any) -> SecretStore:
    from proxy.secrets.environment import EnvStore

    return EnvStore(settings)


def _vault(settings: Any) -> SecretStore:
    from proxy.secrets.vault.store import VaultStore

    return VaultStore(settings)


_STORES: dict[str, Callable[[Any], SecretStore]] = {"file": _file, "env": _env, "vault": _vault}
