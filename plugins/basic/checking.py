"""Checks of passwords: on few threads, few at a time, and one for all who ask the same."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from plugins.basic.hashes import matches
from proxy import Unavailable

WAITING = 8
"""Checks that may wait for each one that runs."""

MOST_KNOWN = 1024


class Checks:
    """Says whether a password is a hash's. A good one is known again for a while.

    What is remembered is a digest under a key of this process's own, never a password.
    """

    def __init__(self, at_once: int, remember: float, now: Callable[[], float]) -> None:
        self._most = at_once * (1 + WAITING)
        self._remember = remember
        self._now = now
        self._key = secrets.token_bytes(32)
        self._good: dict[bytes, float] = {}
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="basic")

    def digest(self, text: str, password: str) -> bytes:
        """Return what a password is remembered by, together with the hash that it was good for."""
        return hmac.digest(self._key, f"{text}\0{password}".encode(), sha256)

    def known(self, digest: bytes) -> bool:
        """Tell whether a password was good a short while ago."""
        until = self._good.get(digest)
        return until is not None and self._now() < until

    async def check(self, digest: bytes, text: str, password: str) -> bool:
        """Tell whether a password is a hash's. Raises Unavailable where too many wait already."""
        running = self._running.get(digest)
        if running is None:
            if len(self._running) >= self._most:
                raise Unavailable("too many checks wait", code="password_checks_busy")
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, matches, text, password)
            self._running[digest] = running
            running.add_done_callback(lambda done: self._ended(digest, done))
        # One who leaves must not end the check of the others.
        return await asyncio.shield(running)

    def _ended(self, digest: bytes, done: asyncio.Future[bool]) -> None:
        del self._running[digest]
        if done.cancelled() or done.exception() is not None or not done.result():
            return
        while len(self._good) >= MOST_KNOWN:
            del self._good[next(iter(self._good))]
        self._good[digest] = self._now() + self._remember

    def close(self) -> None:
        """Let go of the threads; a check that runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
