"""The methods of logging in: what each needs, and how it is asked for a token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from proxy.config.models import VaultAuth, VaultSecrets
from proxy.ports.secrets import SecretForbidden, SecretMalformed
from proxy.secrets.vault.answers import Answer, Call
from proxy.secrets.vault.credentials import credential_of
from proxy.secrets.vault.outcomes import OF_ADDRESS
from proxy.secrets.vault.transport import Transport
from proxy.secrets.vault.wrapping import unwrapped

GIVEN = frozenset({"token", "token_file"})
"""Methods that give a token, instead of what one is given for."""

_NOT_APPROLE = "see 'mount' below auth.approle, and from which addresses the role may log in"
"""An AppRole refuses by 400; 403 is what a server says that has none there."""

_Ask = Callable[[Any], Any]


def _approle(auth: VaultAuth, credential: str) -> _Ask:
    return lambda client: client.auth.approle.login(
        role_id=auth.role, secret_id=credential, use_token=False, mount_point=auth.mount
    )


def _kubernetes(auth: VaultAuth, credential: str) -> _Ask:
    return lambda client: client.auth.kubernetes.login(
        role=auth.role, jwt=credential, use_token=False, mount_point=auth.mount
    )


def _jwt(auth: VaultAuth, credential: str) -> _Ask:
    return lambda client: client.auth.jwt.jwt_login(
        role=auth.role, jwt=credential, use_token=False, path=auth.mount
    )


_METHODS: Mapping[str, tuple[Callable[[VaultAuth, str], _Ask], str]] = {
    "approle": (
        _approle,
        "see whether role_id and secret_id belong together, and the secret_id is still good",
    ),
    "kubernetes": (
        _kubernetes,
        "see the role's service accounts and audience, and whether the server can ask Kubernetes",
    ),
    "jwt": (_jwt, "see the role's bound audience, subject and claims, and the token's times"),
}


async def logged_in(settings: VaultSecrets, transport: Transport) -> Answer:
    """Return the answer to a login, for which the credential is read anew.

    Raises SecretForbidden where it is refused: AppRole says so by 400, the others by 400 or 403.
    """
    auth = settings.auth
    credential = await credential_now(auth)
    if auth.wrapped:
        credential = await unwrapped(credential, settings, transport)
    ask, hint = _METHODS[auth.method]
    path = f"auth/{auth.mount}/login"
    call = Call(path, ask(auth, credential), settings.namespace)
    try:
        return await transport.ask(call, of_token=True)
    except (SecretForbidden, SecretMalformed) as error:
        if settings.address.endswith("/v1"):
            hint = OF_ADDRESS
        elif auth.method == "approle" and isinstance(error, SecretForbidden):
            hint = _NOT_APPROLE
        message = f"Vault at {settings.address} refuses the login at {path}"
        raise SecretForbidden(message, hint=hint) from None


async def credential_now(auth: VaultAuth) -> str:
    """Return what the file or the environment has. Raises SecretError."""
    if auth.file is None:
        return auth.credential
    return await asyncio.to_thread(credential_of, auth.file, auth.method)
