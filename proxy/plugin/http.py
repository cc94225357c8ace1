"""The process's client for plugins that call out: to a token's issuer, a store, a webhook."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from yarl import URL

TIMEOUT = 5.0
"""Seconds for a whole call, its body included; `timeout=` of a call says otherwise."""


class HttpClient:
    """aiohttp's client session, with what a gateway must not do by itself turned off.

    It keeps no cookies, follows no redirects (one could carry a secret to another place) and asks
    no environment variable for a proxy. All else is as aiohttp's: `async with http.get(url) as
    answer`, with its keywords; it raises aiohttp.ClientError and TimeoutError.
    """

    def __init__(self) -> None:
        self._session: ClientSession | None = None

    def request(
        self, method: str, url: str | URL, *, allow_redirects: bool = False, **options: Any
    ) -> AbstractAsyncContextManager[ClientResponse]:
        """Send a request; `options` are those of `aiohttp.ClientSession.request`."""
        return self._opened().request(method, url, allow_redirects=allow_redirects, **options)

    def get(self, url: str | URL, **options: Any) -> AbstractAsyncContextManager[ClientResponse]:
        """Send a GET."""
        return self.request("GET", url, **options)

    def post(self, url: str | URL, **options: Any) -> AbstractAsyncContextManager[ClientResponse]:
        """Send a POST."""
        return self.request("POST", url, **options)

    async def close(self) -> None:
        """Close the connections; the gateway does, a plugin never."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=TIMEOUT),
                trust_env=False,
            )
        return self._session
