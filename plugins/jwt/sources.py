"""Where an issuer's keys come from: its own word, an address, the file, a file beside it, a secret."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from plugins.jwt.shared import Shared
from proxy import ConfigError, KeySet, PluginContext, VerifyingKey, key_of

LOOK_EVERY = 5.0
"""Seconds between two looks at a key file."""

_LONGEST_FILE = 64 * 1024


class Source(Protocol):
    """The keys of one issuer. `version` grows when what a key has verified must be forgotten."""

    @property
    def version(self) -> int: ...

    def find(self, kid: str | None, algorithm: str) -> Any:
        """Return joserfc's key, None where there is none. Raises Unavailable."""

    async def learn(self) -> bool:
        """Look for new keys; return whether there are any."""

    def trouble(self) -> str | None:
        """Return why there are no keys, None where there are."""


class Fetched:
    """Keys of a JWKS."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys
        self.fetch = keys.fetch
        self.learn = keys.learn
        self.trouble = keys.trouble

    @property
    def version(self) -> int:
        return self._keys.version

    def find(self, kid: str | None, algorithm: str) -> Any:
        found = self._keys.find(kid, algorithm)
        return None if found is None else found.key


class Local:
    """One public key, whatever a token calls it. That of a file is read again when it changes."""

    def __init__(self, key: VerifyingKey | None = None, path: str | None = None) -> None:
        self.version = 0
        self._path = path
        self._pem = ""
        self._key = key
        self._reason: str | None = None

    async def read(self) -> None:
        """Read the file. Raises ConfigError where it holds no such key."""
        try:
            pem = await asyncio.to_thread(_read, str(self._path))
            key = self._key if pem == self._pem else await asyncio.to_thread(key_of, pem)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._path}: {_said(error)}") from None
        self._reason = None
        if pem != self._pem:
            self._pem, self._key = pem, key
            self.version += 1

    async def keep(self) -> None:
        """Follow the file for ever; a bad content leaves the key as it was."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.read()
            except ConfigError as error:
                self._reason = f"{error}; the key of before still verifies"

    def find(self, kid: str | None, algorithm: str) -> Any:
        key = self._key
        return key.key if key is not None and algorithm in key.algorithms else None

    async def learn(self) -> bool:
        return False

    def trouble(self) -> str | None:
        return self._reason


async def source_of(issuer: Mapping[str, Any], context: PluginContext) -> Source:
    """Return the keys of an issuer's options; those that are fetched are shared and kept fresh.

    Raises ConfigError for a key that is none. Keys are made on threads: to import what makes them takes
    60 ms, and 10 MiB, which an issuer whose keys never come does not cost.
    """
    if "secret" in issuer:
        shared = Shared(issuer["secret"], context)
        if not await shared.bind():
            context.spawn(shared.bind_later, name=f"secret of {issuer['issuer']}", restart=True)
        return shared
    if "key" in issuer:
        return Local(await asyncio.to_thread(key_of, issuer["key"]))
    if "key_file" in issuer:
        local = Local(path=issuer["key_file"])
        await local.read()
        context.spawn(local.keep, name=f"key file {issuer['key_file']}", restart=True)
        return local
    url, name = issuer.get("jwks_uri"), issuer["issuer"]
    keys = context.share(f"{name} {url}", lambda: KeySet(context.http, url, issuer=name))
    context.spawn(keys.keep, name=f"keys of {name}", restart=True)
    return Fetched(keys)


def _read(path: str) -> str:
    with Path(path).open(encoding="ascii") as file:
        return file.read(_LONGEST_FILE)


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
