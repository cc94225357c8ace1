"""Questions and answers between the parent and a worker, both ways at once.

A message is its length in 8 bytes and a pickle. The two ends are a socket pair that the parent made for
this one worker: nobody else can write to it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Self

from proxy.errors import ConfigError
from proxy.runtime.packing import pickled, unpickled
from proxy.runtime.told import Refused
from proxy.tasks import Tasks

log = logging.getLogger("brain.workers")

Handler = Callable[..., Awaitable[Any]]

_LENGTH = 8


class Gone(Exception):
    """The other end is closed: its process has ended, or ends."""


class Channel:
    """One end. `handlers` answer what the other end asks, by name."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handlers: Mapping[str, Handler],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handlers = handlers
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks = Tasks()
        self._gone = False

    @classmethod
    async def over(cls, sock: socket.socket, handlers: Mapping[str, Handler]) -> Self:
        """Return the end that `sock` is. It is the channel's from now on."""
        return cls(*await asyncio.open_connection(sock=sock), handlers)

    async def ask(self, name: str, *arguments: Any, within: float) -> Any:
        """Return what the other end's handler of `name` returns.

        Raises ConfigError where that did; Gone, and TimeoutError after `within` seconds.
        """
        if self._gone:
            raise Gone
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within):
                await self._send(("?", number, name, arguments))
                return await answer
        finally:
            self._waiting.pop(number, None)

    async def run(self) -> None:
        """Take what comes until the other end is closed; then whoever waits gets Gone."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(_LENGTH))
                self._take(*unpickled(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Let go of this end."""
        self._gone = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Gone())
        self._writer.transport.abort()

    async def ended(self) -> None:
        """Wait until nothing that was asked is worked on any more."""
        await self._tasks.cancel()

    def _take(self, kind: str, number: int, what: Any, about: Any) -> None:
        if kind == "?":
            self._tasks.spawn(self._answer(number, what, about), name=f"answer: {what}")
            return
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            return
        if what:
            waiting.set_result(about)
        else:
            waiting.set_exception(_error_of(about))

    async def _answer(self, number: int, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            done, about = True, await self._handlers[name](*arguments)
        except ConfigError as error:
            done, about = False, _plain(error)
        except Exception as error:  # whoever asked must not wait for nothing
            log.exception("'%s' failed", name)
            done, about = False, (f"{type(error).__name__}: {error}", None, None)
        with suppress(Gone):  # then nobody waits for it
            await self._send(("!", number, done, about))

    async def _send(self, message: tuple[Any, ...]) -> None:
        raw = pickled(message)
        try:
            self._writer.write(len(raw).to_bytes(_LENGTH))
            self._writer.write(raw)
            await self._writer.drain()
        except ConnectionError:
            raise Gone from None


def _plain(error: ConfigError) -> tuple[Any, ...]:
    """An error's own pickle would hold its class's arguments, which are not all of it."""
    refused = (error.told, error.summary) if isinstance(error, Refused) else None
    return str(error), error.hint, refused


def _error_of(plain: tuple[Any, ...]) -> ConfigError:
    message, hint, refused = plain
    if refused is None:
        return ConfigError(message, hint=hint)
    told, summary = refused
    return Refused(message, told, summary=summary, hint=hint)
