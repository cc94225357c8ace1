"""How a token is got: by a login, or by asking the server about one that was given."""

from __future__ import annotations

import logging
from collections.abc import Callable

from proxy.config.models import VaultSecrets
from proxy.ports.secrets import SecretAway, SecretError, SecretForbidden, SecretMissing
from proxy.secrets.vault import calls
from proxy.secrets.vault.logins import GIVEN, credential_now, logged_in
from proxy.secrets.vault.outcomes import OF_ADDRESS
from proxy.secrets.vault.token import Token, of_login, of_lookup
from proxy.secrets.vault.transport import Transport

log = logging.getLogger("brain.secrets.vault")

_OF_TOKEN = "give another one; a token needs 'read' on auth/token/lookup-self, as in policy default"  # noqa: S105


async def enter(settings: VaultSecrets, transport: Transport, clock: Callable[[], float]) -> Token:
    """Return a token. Raises SecretForbidden where none is given to us, SecretAway otherwise."""
    how = _taken if settings.auth.method in GIVEN else _logged_in
    try:
        return await how(settings, transport, clock)
    except (SecretAway, SecretForbidden):
        raise
    except SecretError as error:
        hint = OF_ADDRESS if isinstance(error, SecretMissing) else error.hint
        raise SecretForbidden(str(error), hint=hint) from None


async def _taken(settings: VaultSecrets, transport: Transport, clock: Callable[[], float]) -> Token:
    value, now = await credential_now(settings.auth), clock()
    try:
        answer = await transport.ask(calls.lookup(settings.namespace), value, of_token=True)
    except SecretForbidden:
        message = f"Vault at {settings.address} does not accept the token"
        hint = OF_ADDRESS if settings.address.endswith("/v1") else _OF_TOKEN
        raise SecretForbidden(message, hint=hint) from None
    token = of_lookup(value, answer.mapping("data"), now)
    left = token.left(now)
    if left is not None and not token.renewable:
        log.warning("Vault at %s: the token ends in %.0f s", settings.address, left)
    return token


async def _logged_in(
    settings: VaultSecrets, transport: Transport, clock: Callable[[], float]
) -> Token:
    auth = settings.auth
    now = clock()
    try:
        answer = await logged_in(settings, transport)
    except SecretMissing:
        message = f"nothing is mounted at auth/{auth.mount}"
        raise SecretForbidden(message, hint=_of_mount(settings)) from None
    return of_login(answer.body, now)


def _of_mount(settings: VaultSecrets) -> str:
    if settings.address.endswith("/v1"):
        return OF_ADDRESS
    return f"see 'mount' below auth.{settings.auth.method}"
