"""Tickets as text: a caller and a path, sealed so that nobody reads or changes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any

from proxy import Principal

LONGEST = 4096
"""Characters: a ticket has to fit into a request line beside its path."""

_HEADER = {"alg": "dir", "enc": "A256GCM"}


@dataclass(frozen=True, slots=True)
class Content:
    """What a ticket says; `expires` is in seconds since 1970, `number` is no other ticket's.

    `asks` names the authenticators of the path's route, one of which has known the caller.
    """

    principal: Principal
    path: str
    asks: tuple[str, ...]
    expires: float
    number: str


def load() -> None:
    """Import what seals, which takes 60 ms: on a thread, where a loop runs."""
    import_module("joserfc.jwe")


class Seal:
    """Seals and opens tickets with one key: JWE, direct encryption by AES-256-GCM (RFC 7516)."""

    def __init__(self, key: bytes) -> None:
        from joserfc.jwk import OctKey

        self._key = OctKey.import_key(sha256(b"brain-ticket:" + key).digest())

    def seal(self, content: Content) -> str:
        """Return the ticket. Raises ValueError where the caller's claims make it too long."""
        from joserfc import jwe

        text = json.dumps(_plain(content), separators=(",", ":")).encode()
        ticket = jwe.encrypt_compact(_HEADER, text, self._key, algorithms=list(_HEADER.values()))
        if len(ticket) > LONGEST:
            raise ValueError(f"a ticket of {len(ticket)} characters, over {LONGEST}")
        return ticket

    def open(self, ticket: str) -> Content | None:
        """Return what a ticket says, None for what this key has not sealed."""
        from joserfc import jwe
        from joserfc.errors import JoseError

        if len(ticket) > LONGEST:
            return None
        try:
            found = jwe.decrypt_compact(ticket, self._key, algorithms=list(_HEADER.values()))
            return _content(json.loads(found.plaintext or b""))
        except (JoseError, ValueError, KeyError, TypeError, AttributeError):
            return None


def _plain(content: Content) -> Mapping[str, Any]:
    caller = content.principal
    return {
        "sub": caller.subject,
        "tenant": caller.tenant,
        "scopes": sorted(caller.scopes),
        "roles": sorted(caller.roles),
        "claims": dict(caller.claims),
        "path": content.path,
        "asks": content.asks,
        "exp": content.expires,
        "jti": content.number,
    }


def _content(plain: Mapping[str, Any]) -> Content:
    principal = Principal(
        subject=plain["sub"],
        tenant=plain["tenant"],
        scopes=frozenset(plain["scopes"]),
        roles=frozenset(plain["roles"]),
        claims=plain["claims"],
        by="ticket",
    )
    return Content(principal, plain["path"], tuple(plain["asks"]), plain["exp"], plain["jti"])
