"""The plugin that edits headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from plugins.headers.edits import Edits
from plugins.headers.options import SCHEMA
from proxy import (
    EXCHANGE,
    Answer,
    Exchange,
    GatewayError,
    Handler,
    Plugin,
    Problems,
    Template,
    render,
)


class Headers(Plugin):
    """Edits headers on their way to the upstream and back."""

    schema: ClassVar[Mapping[str, Any]] = SCHEMA

    def __init__(self, *, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        self._request = Edits(**request)
        self._response = Edits(**response)

    def check(self, problems: Problems) -> None:
        self._request.check(problems, "request")
        self._response.check(problems, "response")

    def explain(self, exchange: Exchange) -> list[str]:
        return [*self._request.explain("request"), *self._response.explain("answer")]

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        if self._request:
            outgoing = request[EXCHANGE].outgoing
            self._request.apply(outgoing, lambda template: _demanded(template, request))
        answer = await handler(request)
        if self._response:
            self._response.apply(answer, lambda template: _offered(template, request, answer))
        return answer


def _demanded(template: Template, request: web.BaseRequest) -> str:
    """Return the value. Raises GatewayError when it is missing or may not stand in a header."""
    try:
        return render(template, request)
    except ValueError:
        raise GatewayError("value_invalid") from None


def _offered(template: Template, request: web.BaseRequest, answer: Answer) -> str | None:
    """Return the value, or None: after the upstream has acted, a refusal would be a lie."""
    try:
        return render(template, request, answer=answer)
    except (GatewayError, ValueError):
        return None
