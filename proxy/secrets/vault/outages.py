"""The log's lines on trouble with a server: one when it begins and one when it ends, and few of both."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

log = logging.getLogger("brain.secrets.vault")

MOST, WITHIN = 3, 60.0
"""Troubles that are told, in so many seconds: one that comes and goes fills no log."""


class Outage:
    """The trouble of a server, or of its `part`, while there is any."""

    def __init__(self, server: str, part: str, clock: Callable[[], float]) -> None:
        self._server = server
        self._part = f" ({part})" if part else ""
        self._clock = clock
        self._since: float | None = None
        self._told = False
        self._untold = 0
        self._lines: deque[float] = deque(maxlen=MOST)

    def trouble(self, why: str) -> None:
        """Note that a call failed, and why, in words that name the server.

        A trouble that was not told when it began is told once there may be another line.
        """
        now = self._clock()
        if self._since is None:
            self._since = now
            self._untold += 1
        if self._told or (len(self._lines) == MOST and now - self._lines[0] < WITHIN):
            return
        self._lines.append(now)
        more = f"; {self._untold} times since that was last told" if self._untold > 1 else ""
        log.warning("%s%s; what it gave stays in use%s", why, self._part, more)
        self._told, self._untold = True, 0

    def well(self) -> None:
        """Note that a call was answered."""
        if self._since is not None and self._told:
            seconds = self._clock() - self._since
            log.info("%s%s answers again, after %.1f s", self._server, self._part, seconds)
        self._since, self._told = None, False
