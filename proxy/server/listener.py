"""The public listener: binding, TLS, and an end that loses no queued connection."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

from proxy.config.models import Address, ListenerTls
from proxy.errors import ConfigError
from proxy.server.server import GatewayServer

BACKLOG = 1024


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
    load_certificate(context, tls)
    return context


def load_certificate(context: ssl.SSLContext, tls: ListenerTls) -> None:
    """Put certificate and key into `context`: new connections use them at once. Raises ConfigError."""
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except ssl.SSLError:
        raise ConfigError(
            f"gateway.tls: {tls.cert} and {tls.key} are no certificate and its key"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"gateway.tls: can't read {tls.cert} or {tls.key}: {error.strerror}"
        ) from None


class Listener:
    """A bound socket whose connections go to a GatewayServer."""

    def __init__(
        self, server: GatewayServer, sock: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        self._server = server
        self._sock = sock
        self._tls = tls
        self._accepting: asyncio.Server | None = None
        # Closing the loop's socket must not reset what waits in the kernel's queue: this one keeps
        # the queue alive until it is empty.
        self._spare = sock.dup()

    @property
    def port(self) -> int:
        """The port that was bound, also where 0 was asked for."""
        return int(self._spare.getsockname()[1])

    async def start(self) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        handshake = self._server.timeouts.tls_handshake if self._tls else None
        self._accepting = await loop.create_server(
            self._server,
            sock=self._sock,
            ssl=self._tls,
            ssl_handshake_timeout=handshake,
            backlog=BACKLOG,
        )

    async def stop(self) -> None:
        """Take what the kernel has queued, then close: nobody who was let in is turned away."""
        if self._accepting is not None:
            self._accepting.close()
        await asyncio.sleep(0)
        self._spare.setblocking(False)
        while True:
            try:
                sock, _ = self._spare.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            sock.setblocking(False)
            await self._adopt(sock)
        self._spare.close()

    async def _adopt(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._server, sock, ssl=self._tls)
        except (OSError, ssl.SSLError):
            sock.close()
