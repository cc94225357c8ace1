"""What claims say of a caller, by the names that identity providers use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.plugin.principal import Principal


def principal_of(claims: Mapping[str, Any], by: str = "") -> Principal:
    """Return the principal that claims mean, all of them readable as `${claims.…}`.

    `sub` or `subject` is its subject, `tenant` or `tenant_id` its tenant, `roles` and `groups` its
    roles, `scope` (words with spaces between) and `scopes` its scopes. Raises ValueError where there
    is no subject, or where one of these is of another kind.
    """
    subject = _text(claims, "sub", "subject")
    if subject is None:
        raise ValueError("the claims need 'sub' (or 'subject'), which says who calls")
    return Principal(
        subject=subject,
        tenant=_text(claims, "tenant", "tenant_id"),
        scopes=_words(claims, "scope", "scopes"),
        roles=_words(claims, "roles", "groups"),
        claims=claims,
        by=by,
    )


def _text(claims: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = claims.get(name)
        if value is not None and (not isinstance(value, str) or not value):
            raise ValueError(f"the claim '{name}' must be a text")
        if value is not None:
            return str(value)
    return None


def _words(claims: Mapping[str, Any], *names: str) -> frozenset[str]:
    found: list[str] = []
    for name in names:
        value = claims.get(name) or []
        words = value.split() if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"the claim '{name}' must be a text or a list of texts")
        found += words
    return frozenset(found)
