"""The calls about the token that makes them."""

from __future__ import annotations

from proxy.secrets.vault.answers import Call


def lookup(namespace: str) -> Call:
    """Ask what the server knows of the token: 403 where it does not know it."""
    return Call("auth/token/lookup-self", lambda client: client.auth.token.lookup_self(), namespace)


def mounts(namespace: str) -> Call:
    """Ask for the mounts that the token sees: no policy forbids that, and a dead token gets 403."""
    path = "sys/internal/ui/mounts"
    return Call(path, lambda client: client.read(path), namespace)


def renewal(namespace: str) -> Call:
    """Ask for more time."""
    return Call("auth/token/renew-self", lambda client: client.auth.token.renew_self(), namespace)


def revocation(namespace: str) -> Call:
    """Give the token back, and all leases that were made with it."""
    return Call("auth/token/revoke-self", lambda client: client.auth.token.revoke_self(), namespace)
