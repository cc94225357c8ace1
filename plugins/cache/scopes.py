"""Whom an answer is for that is not for everyone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Set
from hashlib import sha256
from typing import Any

from plugins.cache.fields import LOWER, Field, Values
from proxy import Principal

Scope = tuple[str | None, ...]

EVERYONE: Scope = ("everyone",)
ANONYMOUS: Scope = ("anonymous",)
STRANGER: Scope = ("stranger",)
"""Somebody with credentials that no authenticator proved."""

UNCLEAR: Scope = ("unclear",)
"""Somebody whose claims can't be compared with another one's."""

NOBODYS = (STRANGER, UNCLEAR)
"""Scopes for which nothing is stored: the next one in the same scope may be somebody else."""

PRINCIPAL = "principal"


def scope_of(
    principal: Principal | None,
    fields: Iterable[Field],
    values: Values,
    names: Collection[bytes],
) -> Scope:
    """Return whom an answer to such a request would be for, unless it is for everyone.

    `fields` are what the upstream would see, `values` the same by name; `names` are lower-case names
    of fields that hold credentials. A principal that the gateway proved is told apart by what it may
    do as well, since plugins send that on; and by the credentials that still travel: the upstream may
    know another caller by them, as nobody has said that they belong to the principal.
    """
    sent = [name for name in names if name in values]
    if principal is None:
        return STRANGER if sent else ANONYMOUS
    rights = proofs = None
    if principal.claims or principal.roles or principal.scopes:
        rights = _rights(principal)
        if rights is None:
            return UNCLEAR
    if sent:
        proofs = _proofs(fields, sent)
    return PRINCIPAL, principal.by, principal.tenant, principal.subject, rights, proofs


def sends_credentials(scope: Scope) -> bool:
    """Tell whether a principal's scope holds credentials that the upstream sees."""
    return scope[0] == PRINCIPAL and scope[-1] is not None


def _proofs(fields: Iterable[Field], names: Collection[bytes]) -> str:
    """Return a digest of the credentials, in the order in which they are sent."""
    digest = sha256()
    for name, value in fields:
        lower = LOWER[name]
        if lower in names:
            # With lengths, so that no value reads like the beginning of another field.
            digest.update(b"%d %b %d %b" % (len(lower), lower, len(value), value))
    return digest.hexdigest()


def _rights(principal: Principal) -> str | None:
    """Return a digest of roles, scopes and claims, None for what is no JSON.

    It is made anew each time: a plugin may hold on to a principal and change what is in its claims.
    """
    try:
        told = _ENCODER.encode((principal.claims, principal.roles, principal.scopes))
    except (TypeError, ValueError, RecursionError):
        return None
    return sha256(told.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value)
    raise TypeError("no JSON")


_ENCODER = json.JSONEncoder(sort_keys=True, default=_plain)
