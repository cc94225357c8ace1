"""Names to addresses: cached for a time, the last good answer kept when a look-up fails."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from proxy.errors import GatewayError

SocketAddress = tuple[socket.AddressFamily, tuple[str | int, ...]]


@dataclass(slots=True)
class _Known:
    addresses: tuple[SocketAddress, ...]
    until: float


class Resolver:
    """Looks names up through the system, once at a time for each name (`getaddrinfo` in a thread).

    The system's resolver tells no TTL, so an answer is used for `ttl` seconds. A name that stops
    resolving keeps its last addresses: a broken DNS server must not take the services with it.
    """

    def __init__(self, ttl: float = 30.0) -> None:
        self._ttl = ttl
        self._known: dict[tuple[str, int], _Known] = {}
        self._looking: dict[tuple[str, int], asyncio.Task[tuple[SocketAddress, ...]]] = {}

    async def resolve(self, host: str, port: int) -> tuple[SocketAddress, ...]:
        """Return the addresses of a host. Raises GatewayError `upstream_unresolved`."""
        literal = _literal(host, port)
        if literal is not None:
            return (literal,)
        known = self._known.get((host, port))
        now = asyncio.get_running_loop().time()
        if known is not None and known.until > now:
            return known.addresses
        return await self._look_up_once(host, port)

    async def _look_up_once(self, host: str, port: int) -> tuple[SocketAddress, ...]:
        key = (host, port)
        task = self._looking.get(key)
        if task is None:
            task = self._looking[key] = asyncio.ensure_future(self._look_up(host, port))
            task.add_done_callback(lambda _: self._looking.pop(key, None))
        # One waiter's leaving must not end the look-up for the others.
        return await asyncio.shield(task)

    async def _look_up(self, host: str, port: int) -> tuple[SocketAddress, ...]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            return self._last_good(host, port, error)
        addresses = tuple(dict.fromkeys((family, address) for family, _, _, _, address in found))
        self._known[host, port] = _Known(addresses, loop.time() + self._ttl)
        return addresses

    def _last_good(self, host: str, port: int, error: OSError) -> tuple[SocketAddress, ...]:
        known = self._known.get((host, port))
        if known is None:
            raise GatewayError("upstream_unresolved", log=f"{host}: {error.strerror}") from None
        return known.addresses


def _literal(host: str, port: int) -> SocketAddress | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return socket.AF_INET, (host, port)
    return socket.AF_INET6, (host, port, 0, 0)
