"""What a caller gets where there is no credential, and what the log says of one."""

from __future__ import annotations

import math

from plugins.credentials.oauth.answer import Rejected
from proxy import (
    GatewayError,
    Secret,
    SecretAway,
    SecretError,
    SecretForbidden,
    SecretMissing,
    SecretPath,
)

RETRY_AFTER = 2.0
"""Seconds after which a store that is away may be back."""


def refusal(error: SecretError, place: str) -> GatewayError:
    """Return what is raised for a store's error. What `place` names is for the log alone."""
    log = f"secret {place}: {error}"
    if isinstance(error, SecretAway):
        seconds = max(1, math.ceil(error.retry_after or RETRY_AFTER))
        return GatewayError("secret_unavailable", log=log, headers={"Retry-After": str(seconds)})
    if isinstance(error, Rejected):
        return GatewayError("credential_rejected", log=log)
    if isinstance(error, SecretMissing):
        return GatewayError("credential_missing", log=log)
    if isinstance(error, SecretForbidden):
        return GatewayError("secret_forbidden", log=log)
    return GatewayError("credential_invalid", log=log)


OWN_HOST = "at its own host"


def shown(place: SecretPath, secret: Secret, *, stale: bool, own_host: bool) -> str:
    """Return what an access log says: the reference as the file has it, and the store's version.

    `own_host`: its request goes to whatever host it names.
    """
    counted = "" if secret.version is None else f" version {secret.version}"
    elsewhere = f" {OWN_HOST}" if own_host and not place.literal else ""
    return f"{place.text}{counted}{elsewhere}{' stale' if stale else ''}"


def beside(told: str, another: str) -> str:
    """Return what is told of a request that has another credential besides.

    Raises GatewayError where one that all callers share would go to a host that a caller has named.
    """
    every = f"{told}, {another}"
    parts = every.split(", ")
    if any(OWN_HOST in part for part in parts) and not all("${" in part for part in parts):
        raise GatewayError(
            "credential_invalid", log=f"secret {every}: a shared one would go to a caller's host"
        )
    return every
