"""The plugin that names a request."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from plugins.request_id.uuid7 import Uuid7
from proxy import EXCHANGE, Answer, Exchange, Handler, Outgoing, Plugin, Problems, Stage

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,128}")

_next_id = Uuid7()
"""One for all instances: ids grow over the whole process."""


class RequestId(Plugin):
    """Gives every exchange an id and shows it to the upstream and to the client.

    A client can't choose the id: its header is removed as a protected one. A trusted proxy's is
    kept when it has a safe form, so that one id runs from the edge inwards.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "description": "Names every request with a UUIDv7, in logs, errors and headers.",
        "properties": {
            "header": {
                "type": "string",
                "pattern": "^[A-Za-z0-9-]+$",
                "default": "X-Request-Id",
                "description": "Header that carries the id to the upstream and back to the client. "
                "Default X-Request-Id. What an upstream answers under this name is replaced; what "
                "a client sends is dropped, unless it is one of gateway.trusted_proxies and the "
                "value is 1 to 128 letters, digits, dots, hyphens or underscores.",
            }
        },
    }
    stage = Stage.OBSERVE

    def __init__(self, *, header: str, new_id: Callable[[], str] = _next_id) -> None:
        self._header = header
        self._new_id = new_id
        self.protects = frozenset({header.lower()})

    def check(self, problems: Problems) -> None:
        try:
            Outgoing("GET", "/", []).add_header(self._header, "x")
        except ValueError as error:
            problems.add("header", str(error))

    def explain(self, exchange: Exchange) -> list[str]:
        if exchange.client.trusted:
            return [f"keeps the trusted proxy's {self._header} if it is safe, else makes a UUIDv7"]
        return [f"sets {self._header} to a new UUIDv7, to the upstream and on the answer"]

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        request_id = exchange.request_id
        if request_id:
            # The chain runs again for this exchange: an outer plugin tries once more.
            _put(exchange.outgoing, self._header, request_id)
        else:
            request_id = exchange.request_id = self._choose(request, exchange)
            # A client's copy never gets here: the header is protected.
            exchange.outgoing.add_header(self._header, request_id)
            exchange.on_answer(self._mark)
        return handler(request)

    def _mark(self, exchange: Exchange, answer: Answer) -> None:
        _put(answer, self._header, exchange.request_id)

    def _choose(self, request: web.BaseRequest, exchange: Exchange) -> str:
        if exchange.client.trusted:
            given = request.headers.getall(self._header, ())
            if len(given) == 1 and _SAFE.fullmatch(given[0]):
                return given[0]
        return self._new_id()


def _put(message: Outgoing | Answer, header: str, value: str) -> None:
    """Set a header, on the raw way wherever the message has none of that name."""
    found = message.header(header)
    if found is None:
        message.add_header(header, value)
    elif found != value:
        message.headers[header] = value
