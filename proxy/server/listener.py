"""The public listener: binding, TLS, and an end that loses no queued connection."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from proxy.config.models import Address, ListenerTls
from proxy.errors import ConfigError
from proxy.server.server import GatewayServer
from proxy.server.shutting import refuse_handshakes

log = logging.getLogger("brain.server")

BACKLOG = 1024

HANDSHAKE = 0.2
"""Seconds that the last handshakes are given: a round trip to the other side of the world."""


def bind(address: Address, key: str) -> socket.socket:
    """Return a listening socket. Raises ConfigError, naming the key that asked for the address."""
    return _listening(address, key, *_resolved(address, key))


def bind_group(address: Address, key: str, count: int) -> list[socket.socket]:
    """Return `count` listening sockets of one address, among which the kernel shares connections out.

    Raises ConfigError, naming the key that asked for the address, also where the system has no
    SO_REUSEPORT.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError(
            "gateway.workers: this system has no SO_REUSEPORT", hint="set gateway.workers to 1"
        )
    family, kind, where = _resolved(address, key)
    # It shares with nobody, and so finds a gateway that listens there already: two groups on one
    # port would share its connections out between them. It holds the port of a 0 for the others.
    with _bound(address, key, family, kind, where) as probe:
        where = (where[0], probe.getsockname()[1], *where[2:])
        made: list[socket.socket] = []
        try:
            while len(made) < count:
                made.append(_listening(address, key, family, kind, where, socket.SO_REUSEPORT))
        except ConfigError:
            for sock in made:
                sock.close()
            raise
    return made


Where = tuple[Any, ...]


def _resolved(address: Address, key: str) -> tuple[int, int, Where]:
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigError(f"{key}: can't resolve '{address.host}': {error.strerror}") from None
    family, kind, _, _, where = found[0]
    return family, kind, where


def _bound(
    address: Address, key: str, family: int, kind: int, where: Where, *options: int
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        for option in (socket.SO_REUSEADDR, *options):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(where)
    except OSError as error:
        sock.close()
        raise _not_had(address, key, error) from None
    return sock


def _listening(
    address: Address, key: str, family: int, kind: int, where: Where, *options: int
) -> socket.socket:
    sock = _bound(address, key, family, kind, where, *options)
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _not_had(address, key, error) from None
    sock.setblocking(False)
    return sock


def _not_had(address: Address, key: str, error: OSError) -> ConfigError:
    return ConfigError(f"{key}: can't listen on {address}: {_reason(error)}")


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use"
    if error.errno == errno.EACCES:
        return "not permitted (ports below 1024 need a privilege)"
    return error.strerror or "unknown error"


def server_context(tls: ListenerTls) -> ssl.SSLContext:
    """Return the listener's TLS context. Raises ConfigError when certificate or key can't be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password given, OpenSSL asks the terminal for that of an encrypted key.
        context.load_cert_chain(tls.cert, tls.key, password="")
    except ssl.SSLError:
        raise ConfigError(
            f"gateway.tls: {tls.cert} and {tls.key} are no certificate and its key"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"gateway.tls: can't read {tls.cert} or {tls.key}: {error.strerror}"
        ) from None
    return context


class Listener:
    """A bound socket whose connections go to a GatewayServer."""

    def __init__(
        self, server: GatewayServer, sock: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        self._server = server
        self._sock = sock
        self._tls = self._newest = tls
        if tls is not None:
            tls.sni_callback = self._choose_certificate
        self._accepting: asyncio.Server | None = None
        # Closing the loop's socket must not reset what waits in the kernel's queue: this one keeps
        # the queue alive until it is empty.
        self._spare = sock.dup()

    @property
    def port(self) -> int:
        """The port that was bound, also where 0 was asked for."""
        return int(self._spare.getsockname()[1])

    @property
    def secure(self) -> bool:
        """Whether clients speak TLS to it."""
        return self._tls is not None

    def renew(self, tls: ssl.SSLContext) -> None:
        """Show the certificate of `tls` to those who connect from now on."""
        self._newest = tls

    def _choose_certificate(
        self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        # The loop's server keeps the context that it was made with. Loading a new certificate into
        # that one could fail between certificate and key; this swaps both at once.
        if self._newest is not None and self._newest is not self._tls:
            connection.context = self._newest

    @property
    def _handshake(self) -> float | None:
        return self._server.timeouts.tls_handshake if self._tls else None

    async def start(self) -> None:
        """Accept connections."""
        self._accepting = await asyncio.get_running_loop().create_server(
            self._server,
            sock=self._sock,
            ssl=self._tls,
            ssl_handshake_timeout=self._handshake,
            backlog=BACKLOG,
        )

    async def stop(self) -> None:
        """Take what the kernel has queued, then close: nobody who was let in is turned away."""
        if refuse_handshakes(self._spare):
            await asyncio.sleep(HANDSHAKE)
        if self._accepting is not None:
            self._accepting.close()
        await asyncio.sleep(0)
        # One that is slow with its handshake must not keep the others waiting.
        await asyncio.gather(*map(self._adopt, self._queued()))
        self.close()

    def close(self) -> None:
        """Let go of the socket, also of one that was never started."""
        self._spare.close()

    def _queued(self) -> Iterator[socket.socket]:
        self._spare.setblocking(False)
        while True:
            try:
                sock, _ = self._spare.accept()
            except ConnectionAbortedError:
                continue
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("can't accept what is queued: %s", error.strerror)
                return
            sock.setblocking(False)
            yield sock

    async def _adopt(self, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server, sock, ssl=self._tls, ssl_handshake_timeout=self._handshake
            )
        except OSError:
            sock.close()
