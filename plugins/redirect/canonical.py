"""The one scheme and host by which clients should come."""

from __future__ import annotations

from aiohttp import web

from plugins.redirect.urls import asked, escaped, plain_host, public_prefix, without_port
from proxy import EXCHANGE, Client, Exchange, GatewayError, Problems


class Canonical:
    """Leads to the same path on another scheme or host.

    Host and scheme of the client are what trusted proxies say, else the connection's own. The host
    was checked to be one authority, and is replaced where the file names another.
    """

    def __init__(
        self, scheme: str | None, host: str | None, port: int | None, *, keep_query: bool
    ) -> None:
        self._scheme = scheme
        self._host = host
        self._port = port
        self._keep_query = keep_query

    def __str__(self) -> str:
        if self._host is None:
            port = "" if self._port is None else f", port {self._port}"
            return f"{self._scheme} on the host that was asked for{port}"
        return (
            f"the host {self._host}" if self._scheme is None else f"{self._scheme}://{self._host}"
        )

    def check(self, problems: Problems) -> None:
        if self._scheme is None and self._host is None:
            problems.add("to", "a redirect needs a place: 'to', 'scheme' or 'host'")
        if self._port is not None and (self._scheme is None or self._host is not None):
            problems.add(
                "port",
                "'port' goes with 'scheme' alone",
                hint=None if self._host is None else "write the port behind the host",
            )

    def concerns(self, exchange: Exchange) -> bool:
        """Tell whether the client came otherwise than it should."""
        client = exchange.client
        return self._scheme not in (None, client.scheme) or not self._is_host(client)

    def location(self, request: web.BaseRequest) -> str:
        """Return where to send a client that this concerns.

        Raises GatewayError `bad_host` for one of HTTP/1.0 that named no host to keep.
        """
        client = request[EXCHANGE].client
        scheme = self._scheme or client.scheme
        path, query = asked(request)
        rest = path + query if self._keep_query else path
        prefix = public_prefix(request, client)
        return f"{scheme}://{self._authority(client, scheme)}{prefix}{escaped(rest)}"

    def _is_host(self, client: Client) -> bool:
        if self._host is None or client.host == self._host:
            return True
        return plain_host(client.host, client.scheme) == plain_host(self._host, client.scheme)

    def _authority(self, client: Client, scheme: str) -> str:
        if self._host is not None:
            return self._host
        if not client.host:
            raise GatewayError("bad_host")
        # The port that was asked speaks the other scheme.
        host = without_port(client.host) if scheme != client.scheme else client.host
        return host if self._port is None else f"{host}:{self._port}"
