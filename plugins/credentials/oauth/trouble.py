"""Why there is no new token, and when another is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from plugins.credentials.oauth.client import Credentials
from proxy import SecretAway, SecretError

_PAUSES = (1.0, 30.0)
_STORE_PAUSE = 2.0
"""Seconds at most after a store that was away: nobody's server is asked for nothing."""

_REFUSED = 60.0
"""Seconds for which what a server has refused is not tried again, unless it changes."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the last exchange gave nothing, with what it was tried, and until when it is not again."""

    error: SecretError
    credentials: Credentials
    until: float
    pause: float

    def anew(self) -> SecretError:
        """Return an error to raise: what was raised before holds the frames of its traceback."""
        fresh = type(self.error)(str(self.error), hint=self.error.hint)
        if isinstance(fresh, SecretAway):
            fresh.retry_after = max(1.0, self.until - monotonic())
        return fresh

    @classmethod
    def after(
        cls, error: SecretError, credentials: Credentials, last: Trouble | None, *, asked: bool
    ) -> Trouble:
        """Return what a failure is remembered as. `asked`: the server was, and not the store alone."""
        if not isinstance(error, SecretAway):
            return cls(error, credentials, monotonic() + _REFUSED, 0.0)
        pause = min(2 * last.pause, _PAUSES[1]) if last and last.pause else _PAUSES[0]
        pause = pause if asked else min(pause, _STORE_PAUSE)
        wait = max(pause, min(error.retry_after or 0.0, 10 * _PAUSES[1]))
        return cls(error, credentials, monotonic() + wait, pause)

    def holds_back(self, credentials: Credentials) -> bool:
        """Say whether the same was tried in vain a moment ago."""
        return self.credentials == credentials and monotonic() < self.until
