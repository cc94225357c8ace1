"""Lines of the log of which callers decide how many there are: so many a minute, and how many more."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger("brain.secrets")

MOST, WITHIN = 20, 60.0
"""Lines, and in how many seconds: with one policy that is gone thousands of paths are forbidden."""


class Lines:
    """The log, for what is told of each path."""

    def __init__(self) -> None:
        self._told = self._left_out = 0
        self._ending: asyncio.TimerHandle | None = None

    def tell(self, level: int, message: str, *given: object) -> None:
        """Write a line, unless there were too many in this span; then they are counted."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().call_later(WITHIN, self.end)
        if self._told < MOST:
            self._told += 1
            log.log(level, message, *given)
        else:
            self._left_out += 1

    def end(self) -> None:
        """End a span: say how many lines it had beyond those that were written."""
        if self._ending is not None:
            self._ending.cancel()
        if self._left_out:
            text = "%d more lines like these were left out: 'brain secrets status' lists the paths"
            log.warning(text, self._left_out)
        self._told, self._left_out, self._ending = 0, 0, None
