"""Checks of passwords: on few threads, few at a time, and one for all who ask the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address

from plugins.basic.hashes import matches
from plugins.basic.memory import Memory
from proxy import Unavailable

WAITING = 8
"""Checks that may wait for each one that runs."""

_BEHIND = 10
"""How far the threads stand behind the loop where both want a processor (`nice`)."""


class Checks:
    """Says whether a password is a hash's, and has the good ones remembered.

    One client has half of the places at most, so that who floods them keeps nobody else out.
    """

    def __init__(self, at_once: int, memory: Memory) -> None:
        self._most = at_once * (1 + WAITING)
        self._memory = memory
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._clients = Counter[str]()
        self._threads = ThreadPoolExecutor(
            at_once, thread_name_prefix="basic", initializer=_step_back
        )

    async def check(self, digest: bytes, text: str, password: str, address: str) -> bool:
        """Tell whether a password is a hash's; `digest` stands for who asks what, from `address`.

        Raises Unavailable where too many wait already.
        """
        running = self._running.get(digest)
        if running is None:
            client = client_of(address)
            if len(self._running) >= self._most:
                raise Unavailable("too many checks wait", code="password_checks_busy")
            if self._clients[client] >= self._most // 2:
                raise Unavailable("too many checks of one client", code="password_checks_busy")
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, matches, text, password)
            self._running[digest] = running
            self._clients[client] += 1
            running.add_done_callback(lambda done: self._ended(digest, client, done))
        # One who leaves must not end the check of the others.
        return await asyncio.shield(running)

    def _ended(self, digest: bytes, client: str, done: asyncio.Future[bool]) -> None:
        del self._running[digest]
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]
        if not done.cancelled() and done.exception() is None and done.result():
            self._memory.keep(digest)

    async def close(self) -> None:
        """End the threads. A check that runs is waited for: it tells a loop that must still be there."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)


def client_of(address: str) -> str:
    """Return whose an address is: of IPv6 one client mostly has 64 bits."""
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    # Within one /64 are all of IPv4 as IPv6 writes them (RFC 4291, 2.5.5.2).
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:8].hex()


def _step_back() -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _BEHIND)
