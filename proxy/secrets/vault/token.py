"""A token, how long it lives, and when something is to be done about that. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.ports.secrets import SecretAway
from proxy.secrets.vault.outcomes import OF_ADDRESS

_SHARE = 2 / 3
_SPREAD = 0.1
_ROUNDING = 1.0
"""Seconds: the server cuts what is left of a token to whole ones."""

_LEAST = 0.1


@dataclass(frozen=True, slots=True)
class Token:
    """`since` and `until` are readings of `time.monotonic()`; `until` is None for one without end.

    `own`: the gateway logged in for it, and gives it back.
    """

    value: str = field(repr=False)
    since: float
    until: float | None
    renewable: bool
    own: bool

    @property
    def life(self) -> float:
        """The seconds between `since` and `until`."""
        return 0.0 if self.until is None else self.until - self.since

    def left(self, now: float) -> float | None:
        """Return the seconds that are left, None for a token without end."""
        return None if self.until is None else max(0.0, self.until - now)

    def ended(self, now: float) -> Token:
        """Return this token as one that the server takes no more."""
        return replace(self, until=now)

    def has_ended(self, now: float) -> bool:
        """Say whether the server takes it no more."""
        return self.until is not None and now >= self.until

    def wait(self, now: float, drawn: float) -> float | None:
        """Return the seconds until it is to be renewed, None for a token without end.

        That is at two thirds of what is left, more or less a tenth: `drawn`, from 0 to 1, keeps
        gateways that started together apart.
        """
        left = self.left(now)
        return (
            None if left is None else max(_LEAST, left * _SHARE * (1 + _SPREAD * (2 * drawn - 1)))
        )


def of_login(body: Mapping[str, Any], now: float) -> Token:
    """Return the token of a login that was asked for at `now`. Raises SecretAway."""
    auth = body.get("auth")
    found = auth if isinstance(auth, dict) else {}
    value = found.get("client_token")
    if not isinstance(value, str) or not value:
        raise SecretAway("the login gave no token", hint=OF_ADDRESS)
    # What a batch token is told of itself is all that it has: it is never renewed.
    renewable = found.get("renewable") is True and found.get("token_type") != "batch"
    return Token(value, now, _end(found.get("lease_duration"), now), renewable, own=True)


def of_lookup(value: str, data: Mapping[str, Any], now: float) -> Token:
    """Return a token that was given, by what the server says of it."""
    renewable = data.get("renewable") is True and data.get("type") != "batch"
    until = _end(data.get("ttl"), now)
    if until is None and data.get("expire_time"):
        until = now  # less than a second is cut to none
    return Token(value, now, until, renewable, own=False)


def prolonged(token: Token, body: Mapping[str, Any], now: float) -> Token | None:
    """Return the token that a renewal asked for at `now` has left, None at its maximum.

    One that has no longer to live than before, but for rounding, will not be given any more.
    """
    auth = body.get("auth")
    found = auth if isinstance(auth, dict) else {}
    until, left = _end(found.get("lease_duration"), now), token.left(now)
    if until is None or left is None or until - now <= left + _ROUNDING:
        return None
    return Token(token.value, token.since, until, found.get("renewable") is True, token.own)


def _end(seconds: Any, now: float) -> float | None:
    """Return when a token ends. It is counted from the question, not from the answer."""
    return now + seconds if isinstance(seconds, int) and seconds > 0 else None
