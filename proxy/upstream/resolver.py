"""Names to addresses: cached for a time, the last good answer kept when a look-up fails."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from proxy.errors import GatewayError
from proxy.tasks import Tasks

SocketAddress = tuple[socket.AddressFamily, tuple[str | int, ...]]
Found = Callable[[str, int, tuple[SocketAddress, ...]], None]
Answered = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int, ...]]]
"""What `getaddrinfo` returns."""

AFTER_FAILURE = 5.0
"""Seconds for which the last good answer serves after a look-up that failed."""


@dataclass(slots=True)
class _Known:
    addresses: tuple[SocketAddress, ...]
    until: float


class Resolver:
    """Looks names up through the system, once at a time for each name (`getaddrinfo` in a thread).

    The system's resolver tells no TTL, so an answer is used for `ttl` seconds. A name that stops
    resolving keeps its last addresses: a broken DNS server must not take the services with it.
    An address that refused is looked up again at once: containers move. `found` is called with what
    each look-up finds.
    """

    def __init__(self, ttl: float = 30.0, found: Found | None = None) -> None:
        self._ttl = ttl
        self.found = found
        self._tasks = Tasks()
        self._known: dict[tuple[str, int], _Known] = {}
        self._looking: dict[tuple[str, int], asyncio.Task[tuple[SocketAddress, ...]]] = {}

    async def resolve(self, host: str, port: int) -> tuple[SocketAddress, ...]:
        """Return the addresses of a host. Raises GatewayError `upstream_unresolved`."""
        literal = _literal(host, port)
        if literal is not None:
            return self.admitted((literal,))
        known = self._known.get((host, port))
        now = asyncio.get_running_loop().time()
        if known is not None and known.until > now:
            return known.addresses
        return await self._look_up_once(host, port)

    async def refresh(self, host: str, port: int) -> None:
        """Look a name up again; while that fails, the last good answer stays."""
        with suppress(GatewayError):
            await self._look_up_once(host, port)

    async def _look_up_once(self, host: str, port: int) -> tuple[SocketAddress, ...]:
        key = (host, port)
        task = self._looking.get(key)
        if task is None:
            task = self._looking[key] = self._tasks.spawn(
                self._look_up(host, port), name=f"resolve {host}", quiet=True
            )
            task.add_done_callback(lambda done: self._looked_up(key, done))
        # One waiter's leaving must not end the look-up for the others.
        return await asyncio.shield(task)

    def _looked_up(
        self, key: tuple[str, int], done: asyncio.Task[tuple[SocketAddress, ...]]
    ) -> None:
        self._looking.pop(key, None)
        if not done.cancelled():
            done.exception()  # all who waited may have left

    async def _look_up(self, host: str, port: int) -> tuple[SocketAddress, ...]:
        loop = asyncio.get_running_loop()
        try:
            found = await self.ask(host, port)
        except OSError as error:
            known = self.last_good(host, port)
            if known is None:
                raise GatewayError("upstream_unresolved", log=f"{host}: {error.strerror}") from None
            return known
        distinct = dict.fromkeys((family, address) for family, _, _, _, address in found)
        addresses = self.admitted(tuple(distinct))
        self._known[host, port] = _Known(addresses, loop.time() + self._ttl)
        if self.found is not None:
            self.found(host, port, addresses)
        return addresses

    async def ask(self, host: str, port: int) -> Answered:
        """Ask the system. Raises OSError."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return cast("Answered", found)

    def admitted(self, addresses: tuple[SocketAddress, ...]) -> tuple[SocketAddress, ...]:
        """Return those of the addresses that may be used: those of the file's own targets all are."""
        return addresses

    def last_good(self, host: str, port: int) -> tuple[SocketAddress, ...] | None:
        """Return what the name meant last, to be used for a while: the look-up failed, or hangs."""
        known = self._known.get((host, port))
        if known is None:
            return None
        known.until = asyncio.get_running_loop().time() + min(self._ttl, AFTER_FAILURE)
        return known.addresses

    def doubt(self, host: str, port: int, *, at_once: bool = False) -> None:
        """Look the name up at the next connection: nothing answers where it pointed to.

        `at_once`: now, where connections go to addresses that are known and would never ask.
        """
        known = self._known.get((host, port))
        if known is not None:
            known.until = 0.0
        if at_once:
            self._tasks.spawn(self.refresh(host, port), name=f"resolve {host}")


def is_name(host: str) -> bool:
    """Say whether a host has to be looked up."""
    return _literal(host, 0) is None


def _literal(host: str, port: int) -> SocketAddress | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return socket.AF_INET, (host, port)
    return socket.AF_INET6, (host, port, 0, 0)
