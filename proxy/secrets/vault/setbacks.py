"""What keeps the gateway from a token, how it is told, and when it is tried again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from proxy.ports.secrets import SecretAway, SecretError, SecretForbidden
from proxy.secrets.vault.breaker import FIRST, MOST, Pause

log = logging.getLogger("brain.secrets.vault")

FIRST_REFUSED, MOST_REFUSED = 0.5, 30.0
"""Seconds before a login is tried again that was refused. Some servers lock out who tries often."""


class Setbacks:
    """The last failure of a row of them, and the pause before the next attempt.

    A login that is refused says nothing of a secret. At first it is likely the file's mistake, and
    refuses what needs it (SecretForbidden); after that the store is away, and what it gave stays in
    use: a server that can't ask Kubernetes refuses too.
    """

    def __init__(self, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._away = Pause(FIRST, MOST, clock=clock, draw=draw)
        self._refused = Pause(FIRST_REFUSED, MOST_REFUSED, clock=clock, draw=draw)
        self._last: SecretError | None = None
        self._was_in = False

    @property
    def why(self) -> str | None:
        """What failed last, None where nothing has since the last success."""
        return None if self._last is None else str(self._last)

    @property
    def left(self) -> float:
        """Seconds before the next attempt."""
        return max(self._away.left, self._refused.left)

    def check(self) -> None:
        """Raise the last failure, anew, where its pause is not over."""
        if self._last is not None and self.left:
            raise self._as_told(self._last)

    def add(self, error: SecretError, about: str) -> SecretError:
        """Note a failure, and return what is to be raised for it. It is logged once in a row."""
        if self.why != str(error):
            log.error("%s: %s%s", about, error, f" ({error.hint})" if error.hint else "")
        self._last = error
        (self._away if isinstance(error, SecretAway) else self._refused).begin()
        return self._as_told(error)

    def _as_told(self, error: SecretError) -> SecretError:
        if isinstance(error, SecretAway):
            return SecretAway(str(error), hint=error.hint, retry_after=error.retry_after)
        of = SecretAway if self._was_in else SecretForbidden
        return of(str(error), hint=error.hint)

    def forget(self) -> None:
        """Let the next attempt be made at once: there is something new to try."""
        self._away.end()
        self._refused.end()

    def end(self, about: str) -> None:
        """Note a success."""
        if self._last is not None:
            log.info("%s: the token is good again", about)
        self._last, self._was_in = None, True
        self.forget()
