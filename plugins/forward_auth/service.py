"""One question to the service, within its bounds."""

from __future__ import annotations

import asyncio

from aiohttp import ClientError, ClientResponse, ClientTimeout
from multidict import CIMultiDict
from yarl import URL

from plugins.forward_auth.verdict import AWAY, Reader, Verdict
from proxy import PluginContext, Unavailable

AT_ONCE = 50
"""So many questions are under way: a service that hangs leaves the process connections for others."""

_OURS = ("Accept", "Accept-Encoding", "User-Agent")


class Service:
    """Asks by the process's client. `timeout` is in seconds, for waiting and asking together."""

    def __init__(
        self, context: PluginContext, url: str, timeout: float, most: int, reader: Reader
    ) -> None:
        self._http = context.http
        self._url = URL(url, encoded=True)
        self._timeout = timeout
        self._limit = ClientTimeout(total=timeout)
        self._most = most
        self._reader = reader
        self._free = asyncio.Semaphore(AT_ONCE)

    async def ask(self, headers: CIMultiDict[str]) -> Verdict:
        """Return the service's verdict. Raises Unavailable for all that is none: it fails closed."""
        try:
            async with asyncio.timeout(self._timeout), self._free:
                return await self._asked(headers)
        except TimeoutError:
            raise Unavailable("the service did not answer in time", code=AWAY) from None
        except (ClientError, OSError) as error:
            reason = type(error).__name__
            raise Unavailable(f"the service can't be asked: {reason}", code=AWAY) from None

    async def _asked(self, headers: CIMultiDict[str]) -> Verdict:
        # What the client would add of itself might decide what the service says.
        asked = self._http.get(
            self._url, headers=headers, skip_auto_headers=_OURS, timeout=self._limit
        )
        async with asked as answer:
            body = await self._body(answer)
            return self._reader.read(answer.status, answer.headers, body)

    async def _body(self, answer: ClientResponse) -> bytes:
        parts, left = list[bytes](), self._most
        async for part in answer.content.iter_any():
            left -= len(part)
            if left < 0:
                raise Unavailable("the service's answer is too large", code=AWAY)
            parts.append(part)
        return b"".join(parts)
