"""One exchange with a token endpoint, within its bounds."""

from __future__ import annotations

import asyncio

from aiohttp import ClientError, ClientResponse, ClientTimeout
from yarl import URL

from plugins.credentials.oauth.answer import LONGEST, Granted, Unusable, granted
from plugins.credentials.oauth.client import Credentials, request_of
from plugins.credentials.oauth.options import Settings
from proxy import PluginContext, SecretAway

EXCHANGE = 20.0
"""Seconds for an exchange, and for waiting until it may begin: a claim lasts longer."""

AT_ONCE = 20
"""Exchanges that are under way: a server that hangs leaves the process connections for others."""


class Issuer:
    """Asks one token endpoint by the process's client."""

    def __init__(self, context: PluginContext, settings: Settings) -> None:
        self._http = context.http
        self._settings = settings
        self._url = URL(settings.token_url, encoded=True)
        self._free = asyncio.Semaphore(AT_ONCE)

    async def exchange(self, credentials: Credentials) -> Granted:
        """Return what is granted. Raises Rejected, Mistaken, SecretAway."""
        name = self._settings.shown
        try:
            async with asyncio.timeout(EXCHANGE), self._free:
                return await self._asked(credentials)
        except TimeoutError:
            raise SecretAway(f"{name} did not answer in time") from None
        except (ClientError, OSError) as error:
            raise SecretAway(f"{name} can't be asked: {type(error).__name__}") from None
        except Unusable as error:
            raise SecretAway(f"{name}: {error}", retry_after=error.retry_after) from None

    async def _asked(self, credentials: Credentials) -> Granted:
        headers, body = request_of(self._settings, credentials)
        limit = ClientTimeout(total=EXCHANGE)
        async with self._http.post(self._url, headers=headers, data=body, timeout=limit) as answer:
            said = await _whole(answer)
            after = answer.headers.get("Retry-After", "")
            return granted(answer.status, after, said, self._settings.token_type)


async def _whole(answer: ClientResponse) -> bytes:
    parts, left = list[bytes](), LONGEST
    async for part in answer.content.iter_any():
        left -= len(part)
        if left < 0:
            raise Unusable(f"its answer is longer than {LONGEST // 1024} KiB")
        parts.append(part)
    return b"".join(parts)
