"""A server in trouble is asked by one caller at a time, with growing pauses; the others are told."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from proxy.ports.secrets import SecretAway

FIRST = 0.25
MOST = 2.0
"""Seconds of a pause: a server that is back is noticed within `MOST` and one wait."""


class Pause:
    """A pause that doubles with each failure, drawn between its half and its whole."""

    def __init__(
        self,
        first: float,
        most: float,
        *,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._most = most
        self._clock = clock
        self._draw = draw
        self._next = first
        self._until = 0.0

    @property
    def left(self) -> float:
        """Seconds until the next attempt, 0 where it may be made."""
        return max(0.0, self._until - self._clock())

    def begin(self) -> float:
        """Pause after a failure, and return for how long."""
        seconds = self._next * (0.5 + self._draw() / 2)
        self._next = min(self._most, self._next * 2)
        self._until = self._clock() + seconds
        return seconds

    def end(self) -> None:
        """Forget the failures."""
        self._next, self._until = self._first, 0.0


class Breaker:
    """Lets calls through while all is well, and one at a time, after each pause, while it is not.

    A failure is forgotten after `forget` seconds in which there was no other: nobody may have asked.
    """

    def __init__(
        self,
        pause: Pause,
        *,
        forget: float = math.inf,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._pause = pause
        self._forget = forget
        self._clock = clock
        self._probing = False
        self._why: str | None = None
        self._failed = -math.inf

    @property
    def why(self) -> str | None:
        """Why calls fail at once, None while they are let through."""
        return None if self._clock() - self._failed > self._forget else self._why

    @contextmanager
    def admitted(self) -> Iterator[bool]:
        """Let one call through, and say whether it is the one that tries whether all is well again.

        Raises SecretAway with the last reason where it is to wait.
        """
        why = self.why
        if why is None:
            yield False
            return
        if self._probing or self._pause.left:
            raise SecretAway(why)
        self._probing = True
        try:
            yield True
        finally:
            self._probing = False

    def failed(self, why: str) -> None:
        """Note a call that failed as any other would. Those that failed together are one failure."""
        if self.why is None or not self._pause.left:
            self._pause.begin()
        self._why, self._failed = why, self._clock()

    def worked(self) -> None:
        """Note an answer."""
        self._why = None
        self._pause.end()
