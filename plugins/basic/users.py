"""The users: whom a name means, and the hash of its password as it is now."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from plugins.basic.hashes import fault_of
from plugins.basic.options import REMEDY
from proxy import BoundSecret, ConfigError, PluginContext, Principal, SecretRef, Unavailable


@dataclass(frozen=True, slots=True)
class User:
    """`kept` is the hash itself, or where it is kept.

    `tool` and `page` are the same caller: behind the second one a page of another site may be.
    """

    tool: Principal
    page: Principal
    kept: str | BoundSecret

    @property
    def hash(self) -> str:
        """The hash now. Raises Unavailable where it is not to be had, or is none that may be used."""
        if isinstance(self.kept, str):
            return self.kept
        text = self.kept.current
        fault = fault_of(text)
        if fault is not None:
            message = f"the hash of the user '{self.tool.subject}' can't be used: {fault}"
            raise Unavailable(message, code="secret_unavailable")
        return text

    def trouble(self) -> str | None:
        """Return why nobody gets in by this name now."""
        try:
            _ = self.hash
        except Unavailable as away:
            return str(away)
        return None


class Users:
    """Finds what to check a password by, for names that nobody has too.

    Such a name is treated in all things like one of the users, always the same one, which nobody can
    tell who does not know the hashes. So hashes of different cost don't give away which names exist.
    The choice is the same in each process and after each restart: otherwise its changes would tell.
    """

    def __init__(self, users: Iterable[User]) -> None:
        self._listed = tuple(users)
        self._by_name = {user.tool.subject: user for user in self._listed}
        self._key = sha256("\0".join(user.hash for user in self._listed).encode()).digest()

    def find(self, name: str) -> tuple[User | None, str]:
        """Return the user, None for an unknown name, and the hash to check by. Raises Unavailable."""
        user = self._by_name.get(name)
        return user, (user or self._like(name)).hash

    def _like(self, name: str) -> User:
        number = int.from_bytes(hmac.digest(self._key, name.encode(), sha256)[:8])
        return self._listed[number % len(self._listed)]

    def trouble(self) -> str | None:
        """Return why some users can't get in now, None where all can."""
        return "; ".join(filter(None, (user.trouble() for user in self._listed))) or None


async def user_of(entry: Mapping[str, Any], context: PluginContext) -> User:
    """Return the user that an entry of the file means. Raises ConfigError for a hash that is none."""
    tool = Principal(
        subject=entry["name"],
        tenant=entry.get("tenant"),
        scopes=frozenset(entry["scopes"]),
        roles=frozenset(entry["roles"]),
        by=context.entry.identity,
    )
    page = replace(tool, ambient=True)
    given: str | SecretRef = entry["hash"]
    if isinstance(given, str):
        return User(tool, page, given)
    kept = await context.secrets.bind(given)
    fault = fault_of(kept.current)
    if fault is not None:
        raise ConfigError(f"user '{entry['name']}', {given}: {fault}", hint=REMEDY)
    return User(tool, page, kept)
