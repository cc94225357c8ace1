"""The public listener: binding, TLS, and an end that loses no queued connection."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Iterator

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
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigError(f"{key}: can't resolve '{address.host}': {error.strerror}") from None
    family, kind, _, _, where = found[0]
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"{key}: can't listen on {address}: {_reason(error)}") from None
    sock.setblocking(False)
    return sock


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
