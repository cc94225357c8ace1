"""What a server gave while the store does not have it, and the fields that it becomes there."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from plugins.credentials.oauth.answer import Granted

TOKEN, EXPIRES, REFRESH = "access_token", "expires_at", "refresh_token"
UNTIL, BY = "renewing_until", "renewing_by"
"""The fields of a claim: seconds since 1970, and who renews."""

_UNIX = re.compile(r"[0-9]{1,12}")


def seconds_of(fields: Mapping[str, str], name: str) -> float:
    """Return a time in seconds since 1970; what is no number has long passed."""
    text = fields.get(name, "")
    return float(text) if _UNIX.fullmatch(text) else -math.inf


@dataclass(frozen=True, slots=True)
class Obtained:
    """What the server gave, while the store does not have it.

    `basis` are the fields that it was got with, any of them; in a secret with others, somebody has
    connected anew.
    """

    token: str = field(repr=False)
    expires_at: int
    refresh_token: str | None = field(repr=False)
    basis: frozenset[tuple[str | None, ...]] = field(repr=False)

    @classmethod
    def of(
        cls, granted: Granted, lifetime: float, fields: Mapping[str, str], before: Obtained | None
    ) -> Obtained:
        """Return what was granted to a secret's fields, or to what was obtained `before`."""
        ends = int(time.time() + (granted.seconds or lifetime))
        refresh = granted.refresh_token or (None if before is None else before.refresh_token)
        basis = frozenset([_basis(fields)]) if before is None else before.basis
        if refresh is not None:
            basis |= {(refresh,)}
        return cls(granted.access_token, ends, refresh, basis)

    def fits(self, fields: Mapping[str, str]) -> bool:
        """Say whether it belongs to what a secret holds."""
        return _basis(fields) in self.basis

    def latest(self, fields: Mapping[str, str]) -> Mapping[str, str]:
        """Return what the next token is asked for with."""
        if self.refresh_token is None:
            return fields
        return {**_own(fields), REFRESH: self.refresh_token}

    def put_in(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return the fields of a secret with it, and without a claim."""
        kept = {name: value for name, value in fields.items() if name not in (UNTIL, BY)}
        new = {} if self.refresh_token is None else {REFRESH: self.refresh_token}
        return {**kept, **new, TOKEN: self.token, EXPIRES: str(self.expires_at)}


def _basis(fields: Mapping[str, str]) -> tuple[str | None, ...]:
    """Return what a token was granted for: the refresh token, else the client's own."""
    refresh = fields.get(REFRESH)
    return (refresh,) if refresh else (fields.get("client_id"), fields.get("client_secret"))


def _own(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields[name] for name in ("client_id", "client_secret") if name in fields}
