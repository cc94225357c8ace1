"""One user: whom a name means, and the hash of its password as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugins.basic.hashes import fault_of
from proxy import BoundSecret, ConfigError, PluginContext, Principal, SecretRef, Unavailable


@dataclass(frozen=True, slots=True)
class User:
    """`kept` is the hash itself, or where it is kept."""

    principal: Principal
    kept: str | BoundSecret

    @property
    def hash(self) -> str:
        """The hash now. Raises Unavailable where it is not to be had, or is none that may be used."""
        if isinstance(self.kept, str):
            return self.kept
        text = self.kept.current
        if fault_of(text) is not None:
            raise Unavailable(
                "the hash of a user is none that may be used", code="secret_unavailable"
            )
        return text


async def user_of(entry: Mapping[str, Any], context: PluginContext) -> User:
    """Return the user that an entry of the file means. Raises ConfigError for a hash that is none."""
    principal = Principal(
        subject=entry["name"],
        tenant=entry.get("tenant"),
        scopes=frozenset(entry["scopes"]),
        roles=frozenset(entry["roles"]),
        by=context.entry.identity,
        ambient=True,
    )
    given: str | SecretRef = entry["hash"]
    if isinstance(given, str):
        return User(principal, given)
    kept = await context.secrets.bind(given)
    fault = fault_of(kept.current)
    if fault is not None:
        raise ConfigError(f"user '{entry['name']}', {given}: {fault}")
    return User(principal, kept)
