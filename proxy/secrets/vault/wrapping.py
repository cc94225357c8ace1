"""A secret_id in a wrapper: a token that can be opened once, so that a theft on its way shows.

Vault's manual on response wrapping is followed: who gets a wrapper looks first where it was made,
for a thief can open it and hand on one of his own; and one that can't be opened was opened by
somebody else, or is too old. Either is told as what it may be, an attack.
"""

from __future__ import annotations

import hashlib
import logging
import re
from typing import Any

from proxy.config.models import VaultSecrets
from proxy.ports.secrets import SecretAway, SecretError, SecretForbidden
from proxy.secrets.vault.answers import Answer, Call
from proxy.secrets.vault.transport import Transport

log = logging.getLogger("brain.secrets.vault")

_opened: dict[str, str] = {}
"""What was in wrappers, by their digest. Of the process: a reload can't open one again."""

_told: set[str] = set()

_MOST = 64

_LOOKUP = "sys/wrapping/lookup"
_UNWRAP = "sys/wrapping/unwrap"
_HINT = "find out who had it, revoke its secret_id, and wrap a new one"


async def unwrapped(wrapper: str, settings: VaultSecrets, transport: Transport) -> str:
    """Return the secret_id in a wrapper, kept from the first time on.

    Raises SecretForbidden where it is not what it should be.
    """
    digest = hashlib.sha256(wrapper.encode()).hexdigest()
    if digest not in _opened:
        if digest in _told:
            raise SecretForbidden("the wrapped secret_id can't be trusted", hint=_HINT)
        await _look(wrapper, digest, settings, transport)
        secret = await _open(wrapper, digest, settings, transport)
        while len(_opened) >= _MOST:
            del _opened[next(iter(_opened))]
        _opened[digest] = secret
    return _opened[digest]


async def _look(wrapper: str, digest: str, settings: VaultSecrets, transport: Transport) -> None:
    def ask(client: Any) -> Any:
        return client.write_data(_LOOKUP, data={"token": wrapper})

    answer = await _asked(Call(_LOOKUP, ask, settings.namespace), "", digest, transport)
    made = answer.mapping("data").get("creation_path")
    wanted = rf"auth/{re.escape(settings.auth.mount)}/role/[^/]+/secret-id"
    if not isinstance(made, str) or not re.fullmatch(wanted, made):
        raise _alarm(
            digest, "was not made as a secret_id of this mount: it may have been exchanged"
        )


async def _open(wrapper: str, digest: str, settings: VaultSecrets, transport: Transport) -> str:
    def ask(client: Any) -> Any:
        return client.sys.unwrap()  # the wrapper is the client's token

    answer = await _asked(Call(_UNWRAP, ask, settings.namespace), wrapper, digest, transport)
    secret = answer.mapping("data").get("secret_id")
    if not isinstance(secret, str) or not secret:
        raise _alarm(digest, "held no secret_id: it may have been exchanged")
    return secret


async def _asked(call: Call, token: str, digest: str, transport: Transport) -> Answer:
    try:
        return await transport.ask(call, token, of_token=True)
    except SecretAway:
        raise
    except SecretError:
        raise _alarm(
            digest, "is not good any more: it is too old, or somebody has opened it"
        ) from None


def _alarm(digest: str, why: str) -> SecretForbidden:
    message = f"the wrapping token of the secret_id {why}"
    if digest not in _told:
        _told.add(digest)
        log.critical("security: %s; %s", message, _HINT)
    return SecretForbidden(message, hint=_HINT)
