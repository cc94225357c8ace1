"""A small client of a Valkey or Redis server: bounded, and quick to say that the server is away.

redis-py speaks the protocol; what it would do by itself (retries that sleep, pings, a pool without
bounds) is left out. Its import takes a while, so it is made in a thread, when a file first needs it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from proxy.errors import ConfigError, Unavailable
from proxy.plugin.stores import TIMEOUT, StoreAddress
from proxy.tasks import Tasks
from proxy.text import printable

if TYPE_CHECKING:
    from redis.asyncio.connection import Connection

log = logging.getLogger("brain.store")

MOST_CONNECTIONS = 10
"""Connections of one process to one server: a call takes one for a fraction of a millisecond."""

PAUSE_FIRST = 0.1
PAUSE_MOST = 1.0
"""Seconds for which a server is left alone: doubled while it stays away."""


async def library() -> Any:
    """Return redis-py. Raises ConfigError where it is not installed."""
    try:
        await asyncio.to_thread(import_module, "redis.asyncio")
    except ImportError:
        raise ConfigError(
            "a shared store needs redis-py, which is not installed",
            hint="pip install 'brain-gateway[valkey]'",
        ) from None
    return import_module("redis")


class Valkey:
    """One server, for all plugins of a process (`proxy.ports.stores.Store`).

    `well`: calls are made. A failure makes it away: calls raise at once, while one task asks after
    the server. When that gets an answer calls are made again; the first that succeeds says so in
    the log, so that a server which answers pings and nothing else is no news every second.
    """

    def __init__(
        self,
        redis: Any,
        address: StoreAddress,
        *,
        timeout: float = TIMEOUT,
        most: int = MOST_CONNECTIONS,
    ) -> None:
        """`redis` is what `library` returned; `timeout` is in seconds, for a whole call."""
        self._redis = redis
        self._address = address
        self._timeout = timeout
        self._slots = asyncio.Semaphore(most)
        self._idle: list[Connection] = []
        self._tasks = Tasks()
        self._trust: ssl.SSLContext | None = None
        self._away: str | None = None
        self._told = False
        self._pause = PAUSE_FIRST
        self._closed = False

    def __repr__(self) -> str:
        return f"<Valkey {self._address} {'away' if self._away else 'well'}>"

    @property
    def away(self) -> str | None:
        """Why nothing is asked of it now, None while it answers."""
        return self._away

    async def run(self, script: str, keys: Sequence[str], args: Sequence[str | int | float]) -> Any:
        """Run a Lua script by its digest, or as a whole where the server has not seen it."""
        async with self._asking() as connection:
            try:
                return await _ask(connection, "EVALSHA", _digest(script), len(keys), *keys, *args)
            except self._redis.exceptions.NoScriptError:
                return await _ask(connection, "EVAL", script, len(keys), *keys, *args)

    async def once(self, key: str, seconds: float) -> bool:
        """Set `key` where it is not set; it ends after `seconds`."""
        lasting = max(1, math.ceil(seconds * 1000))
        async with self._asking() as connection:
            return await _ask(connection, "SET", key, "1", "NX", "PX", lasting) is not None

    async def close(self) -> None:
        """Close the connections; those of calls in progress when these end."""
        self._closed = True
        await self._tasks.cancel()
        await self._drop_idle()

    # -- one call

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Connection]:
        """Lend a connection for one call, and judge the server by how the call ends."""
        if self._away is not None:
            raise self._unavailable()
        bound = asyncio.timeout(self._timeout)
        waiting = True
        try:
            async with bound, self._slots:
                if self._away is not None:  # while this call waited for its turn
                    raise self._unavailable()  # noqa: TRY301  told as every other
                waiting = False
                async with self._lent() as connection:
                    yield connection
        except Unavailable:
            raise
        except Exception as error:  # whatever fails there, callers know one way of it
            if waiting and bound.expired():
                raise Unavailable(
                    f"the store {self._address} is asked by too many at once",
                    code="store_unavailable",
                ) from None
            self._failed(error)
            raise self._unavailable() from None
        self._succeeded()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        connection = await self._taken()
        try:
            yield connection
        except BaseException as error:
            # After a whole answer that is an error the connection is as good as before.
            if not isinstance(error, self._redis.exceptions.ResponseError):
                await connection.disconnect(nowait=True)
            raise
        finally:
            await self._give_back(connection)

    async def _taken(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            # At the end of its stream: a restarted server is met with a new connection.
            if connection.is_connected and not await connection.can_read():
                return connection
            await connection.disconnect(nowait=True)
        return await self._opened()

    async def _give_back(self, connection: Connection) -> None:
        if connection.is_connected and not self._closed:
            self._idle.append(connection)
        else:
            await connection.disconnect(nowait=True)

    async def _opened(self) -> Connection:
        address, library = self._address, self._redis.asyncio
        kind = library.SSLConnection if address.tls else library.Connection
        connection: Any = kind(
            host=address.host,
            port=address.port,
            db=address.db,
            username=address.username,
            password=address.password,
            protocol=2,
            driver_info=None,
            # The whole call has its bound; a second one would cost a task for every write.
            socket_timeout=None,
            socket_connect_timeout=None,
        )
        if address.tls:
            connection.ssl_context.context = await self._trusting()
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        opened: Connection = connection
        return opened

    async def _trusting(self) -> ssl.SSLContext:
        """Return the one context of all connections: each would read all authorities again."""
        if self._trust is None:
            self._trust = await asyncio.to_thread(ssl.create_default_context)
        return self._trust

    # -- how the server is

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            f"the store {self._address} is away: {self._away}", code="store_unavailable"
        )

    def _succeeded(self) -> None:
        self._pause = PAUSE_FIRST
        if self._told:
            self._told = False
            log.info("the store %s is back", self._address)

    def _failed(self, error: Exception) -> None:
        if self._away is not None or self._closed:
            return
        self._away = self._said(error)
        if not self._told:
            self._told = True
            log.warning("the store %s is away: %s", self._address, self._away)
        self._tasks.spawn(self._find_again(), name=f"store {self._address}: find it again")

    async def _find_again(self) -> None:
        await self._drop_idle()
        while self._away is not None:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, PAUSE_MOST)
            try:
                async with asyncio.timeout(self._timeout), self._lent() as connection:
                    await _ask(connection, "PING")
                self._away = None
            except Exception as error:  # it is still away, whatever the reason
                self._away = self._said(error)

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    def _said(self, error: Exception) -> str:
        """Return what the log and /ready say of an error: never the password."""
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout * 1000:g} ms"
        text = f"{type(error).__name__}: {error}"
        for secret in (self._address.password, self._address.username):
            text = text.replace(secret, "***") if secret else text
        return printable(text, 200)


async def _ask(connection: Connection, *command: str | int | float) -> Any:
    await connection.send_command(*command)
    return await connection.read_response()


@lru_cache(maxsize=256)
def _digest(script: str) -> str:
    """Return the name of a script: the protocol has it in SHA-1."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
