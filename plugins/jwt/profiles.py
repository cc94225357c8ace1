"""What is alike for every user of an identity provider, written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Issuer = Mapping[str, Any]


def _authentik(issuer: Issuer) -> Issuer:
    """Authentik's OAuth2 provider: an issuer for each application, its keys below it."""
    name = str(issuer.get("issuer", ""))
    return {
        "jwks_uri": f"{name.removesuffix('/')}/jwks/",
        "algorithms": ["RS256"],
        "claims": {
            "subject": "sub",
            "tenant": ["tenant_id", "ak_tenant"],
            "roles": "groups",
            "scopes": "scope",
            "name": ["name", "preferred_username"],
        },
    }


PROFILES: Mapping[str, Callable[[Issuer], Issuer]] = {"authentik": _authentik}

_SOURCES = frozenset({"jwks_uri", "key", "key_file", "secret"})


def written_out(issuer: Issuer) -> Issuer:
    """Return an issuer's options with those of its profile; what the file says itself wins."""
    profile = PROFILES.get(str(issuer.get("profile")))
    if profile is None:
        return issuer
    meant = dict(profile(issuer))
    if _SOURCES & issuer.keys():
        del meant["jwks_uri"]
    claims = issuer.get("claims")
    if isinstance(claims, Mapping):
        meant["claims"] = {**meant["claims"], **claims}
        return {**meant, **issuer, "claims": meant["claims"]}
    return {**meant, **issuer}
