"""What a token's claims must say (RFC 7519, 4.1), and who is meant by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plugins.jwt.parts import invalid, refused
from proxy import Principal, printable

Claims = Mapping[str, Any]

LONGEST_NAMES = 200
"""Characters of an audience that the log shows."""

_DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "subject": ("sub",),
    "tenant": ("tenant", "tenant_id"),
    "roles": ("roles", "groups"),
    "scopes": ("scope", "scopes"),
    "name": ("name",),
}


@dataclass(frozen=True)
class Rules:
    """What one issuer's tokens must say; `leeway` is in seconds."""

    issuer: str
    audience: frozenset[str]
    clients: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _DEFAULTS)
    leeway: float = 0.0

    def judge(self, claims: Claims, now: float) -> float:
        """Return when the token ends, in seconds since 1970. Raises Unauthenticated."""
        ends = _moment(claims, "exp")
        if ends is None:
            raise invalid("it never expires")
        if now >= ends + self.leeway:
            raise refused("token_expired", "the token has expired")
        for name in ("nbf", "iat"):
            begins = _moment(claims, name)
            if begins is not None and now < begins - self.leeway:
                raise refused("token_not_yet_valid", f"{name} is in the future")
        self._judge_purpose(claims)
        return ends

    def _judge_purpose(self, claims: Claims) -> None:
        given = claims.get("aud")
        audience = [given] if isinstance(given, str) else given
        if not isinstance(audience, list) or not all(isinstance(one, str) for one in audience):
            raise refused("token_audience_wrong", "its claim aud names nobody")
        if self.audience.isdisjoint(audience):
            others = printable(", ".join(audience) or "nobody", LONGEST_NAMES)
            raise refused("token_audience_wrong", f"the token is for {others}")
        client = claims.get("azp", claims.get("client_id"))
        if self.clients and not (isinstance(client, str) and client in self.clients):
            raise invalid("it was given to a client that is not listed")
        for name in self.required:
            if claims.get(name) in (None, "", []):
                raise invalid(f"it lacks the claim '{name}'")

    def told(self) -> list[str]:
        """Say in lines whom it makes of a token, and which ones it refuses."""
        meanings = (f"{meaning} {' or '.join(names)}" for meaning, names in self.names.items())
        said = [f"reads in its claims: {', '.join(meanings)}"]
        if self.clients:
            said.append(f"takes those alone that were given to {' or '.join(sorted(self.clients))}")
        if self.required:
            said.append(f"takes those alone that have {', '.join(self.required)}")
        return said

    def principal(self, claims: Claims, by: str) -> Principal:
        """Return who is meant. Raises ValueError where a claim is of another kind than it must be."""
        subject = self._text(claims, "subject")
        if subject is None:
            raise ValueError("it says of nobody")
        name = self._text(claims, "name")
        return Principal(
            subject=subject,
            tenant=self._text(claims, "tenant"),
            scopes=self._words(claims, "scopes", split=True),
            roles=self._words(claims, "roles", split=False),
            claims=claims if name is None or "name" in claims else {**claims, "name": name},
            by=by,
        )

    def _text(self, claims: Claims, meaning: str) -> str | None:
        for name in self.names[meaning]:
            value = claims.get(name)
            if value and isinstance(value, str):
                return value
            # Issuers write "" for what a person lacks, such as a display name.
            if value not in (None, ""):
                raise ValueError(f"its claim '{name}' is no text")
        return None

    def _words(self, claims: Claims, meaning: str, *, split: bool) -> frozenset[str]:
        value: Any = next((claims[n] for n in self.names[meaning] if claims.get(n) is not None), [])
        if isinstance(value, str):
            value = value.split() if split else [value]
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ValueError(f"its {meaning} are neither a text nor texts")
        return frozenset(value)


def rules_of(issuer: Mapping[str, Any], leeway: float) -> Rules:
    """Return the rules that an issuer's options mean."""
    claims = {name: _listed(given) for name, given in issuer.get("claims", {}).items()}
    return Rules(
        issuer=issuer["issuer"],
        audience=frozenset(_listed(issuer["audience"])),
        clients=frozenset(issuer.get("clients", ())),
        required=tuple(issuer.get("required_claims", ())),
        names={**_DEFAULTS, **claims},
        leeway=leeway,
    )


def _listed(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _moment(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise invalid(f"its claim '{name}' is no time")
    return float(value)
