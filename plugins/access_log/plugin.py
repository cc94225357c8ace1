"""The plugin that logs exchanges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from plugins.access_log.fields import picked, picked_of_answer, refuse_secrets
from plugins.access_log.formats import FORMATS
from plugins.access_log.line import Clock, line_of
from plugins.access_log.options import SCHEMA
from plugins.access_log.sink import Sink
from plugins.access_log.writer import STREAMS
from proxy import (
    EXCHANGE,
    Answer,
    ConfigError,
    Exchange,
    Handler,
    Plugin,
    PluginContext,
    Problems,
    Stage,
)

Names = Sequence[str]
Picked = Mapping[str, str] | None


class AccessLog(Plugin):
    """Writes a line when an exchange is over, whatever became of it.

    That holds for answers of the gateway itself, clients that left (499), broken connections and
    tunnels. Headers and query values are in it only where the file lists them.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.OBSERVE

    def __init__(
        self,
        *,
        format: str,  # noqa: A002  the option's name
        file: str,
        request_headers: Names,
        response_headers: Names,
        query: Names,
        clock: Callable[[], str] | None = None,
    ) -> None:
        self._format = FORMATS[format]
        self._file = file if file in STREAMS else str(Path(file).absolute())
        self._request_headers = request_headers
        self._response_headers = response_headers
        self._query = query
        self._lists = bool(request_headers or response_headers or query)
        self._clock = clock or Clock()
        self._sink: Sink | None = None

    def check(self, problems: Problems) -> None:
        refuse_secrets(problems, "request_headers", self._request_headers)
        refuse_secrets(problems, "response_headers", self._response_headers)
        refuse_secrets(problems, "query", self._query)

    async def setup(self, context: PluginContext) -> None:
        dropped = context.metrics.counter(
            "brain_access_log_dropped", "Lines of the access log that could not be written."
        )
        self._sink = context.share(
            f"sink:{self._file}", lambda: Sink(self._file, dropped, context.logger)
        )
        try:
            await self._sink.open()
        except OSError as error:
            raise ConfigError(
                f"the access log '{self._file}' can't be written: {error.strerror}",
                hint="name a file in a folder that the gateway may write to, or stdout",
            ) from error

    async def close(self) -> None:
        if self._sink is not None:
            await self._sink.flush()

    def explain(self, exchange: Exchange) -> list[str]:
        listed = (
            ("request headers", self._request_headers),
            ("response headers", self._response_headers),
            ("query parameters", self._query),
        )
        return [
            f"writes a line to {self._file} when the exchange is over",
            *(f"with the {what} {', '.join(names)}" for what, names in listed if names),
        ]

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        if not self._is_registered(exchange):
            exchange.on_finish(self._callback(request))
        return handler(request)

    def _is_registered(self, exchange: Exchange) -> bool:
        """Tell whether the chain runs again for this exchange: an outer plugin may try twice."""
        callbacks = exchange.callbacks
        return callbacks is not None and any(
            getattr(each, "func", each) == self._finish for each in callbacks
        )

    def _callback(self, request: web.BaseRequest) -> Callable[[Exchange], None]:
        # The callback must not hold the request: it would make a cycle (the exchange is on it).
        if not self._request_headers and not self._query:
            return self._finish
        headers = picked(request.headers, self._request_headers)
        query = picked(request.query, self._query)
        return partial(self._finish, request_headers=headers, query=query)

    def _finish(
        self, exchange: Exchange, request_headers: Picked = None, query: Picked = None
    ) -> None:
        line = line_of(exchange, self._clock())
        if self._lists:
            line.request_headers = request_headers
            line.response_headers = picked_of_answer(exchange.answer, self._response_headers)
            line.query = query
        if self._sink is not None:
            self._sink.write(self._format(line))
