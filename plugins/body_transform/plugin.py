"""The plugin that edits JSON bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from aiohttp import hdrs, web

from plugins.body_transform.document import Document, Misfit, NotJson
from plugins.body_transform.edits import Edits, Put
from plugins.body_transform.options import SCHEMA
from plugins.body_transform.values import Value
from proxy import (
    EXCHANGE,
    Answer,
    Exchange,
    GatewayError,
    Handler,
    Outgoing,
    Plugin,
    Problems,
    render,
)

_BODILESS = frozenset(
    {HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
)

_AT_ONCE = 64 * 1024
"""Bytes that are edited in the loop, in about 3 ms. More of them are edited in a thread: not to be
faster, but since Python then gives others their turn every few milliseconds."""

_SENT = web.RequestKey("_SENT", dict[Any, bytes])
"""What each of these plugins has made of the request's body."""


class Side:
    """One side's options: what to edit, up to which size, and what becomes of other types."""

    def __init__(self, *, max_size: int, on_other: str, **edits: Any) -> None:
        self.edits = Edits(**edits)
        self.max_size = max_size
        self.refuses = on_other == "refuse"

    def __bool__(self) -> bool:
        return bool(self.edits) or self.refuses


class BodyTransform(Plugin):
    """Edits JSON bodies on their way to the upstream and back."""

    schema: ClassVar[Mapping[str, Any]] = SCHEMA

    def __init__(self, *, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        self._request = Side(**request)
        self._response = Side(**response)

    def check(self, problems: Problems) -> None:
        self._request.edits.check(problems, "request")
        self._response.edits.check(problems, "response")

    def explain(self, exchange: Exchange) -> list[str]:
        lines = list(self._request.edits.explain("request's JSON body"))
        media = exchange.outgoing.header(hdrs.CONTENT_TYPE)
        if self._request and media is not None and not _is_json(media):
            does = "refuses its body with 415" if self._request.refuses else "leaves its body alone"
            lines = [f"{does}: this request's Content-Type is not JSON's"]
        lines += self._response.edits.explain("answer's JSON body")
        if self._response.refuses:
            lines.append("refuses an answer whose body is not JSON")
        return lines

    async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
        outgoing = request[EXCHANGE].outgoing
        if self._request:
            await self._edit_request(request, outgoing)
        if not self._response:
            return await handler(request)
        _ask_for_all(outgoing)
        answer = await handler(request)
        await self._edit_answer(request, answer)
        return answer

    # -- the request

    async def _edit_request(self, request: web.BaseRequest, outgoing: Outgoing) -> None:
        side = self._request
        if not _is_json(outgoing.header(hdrs.CONTENT_TYPE)):
            if side.refuses and _has_body(request):
                raise GatewayError("body_type_refused", headers={"Accept": "application/json"})
            return
        if not side.edits:
            return
        body = await outgoing.read(side.max_size, decode=True)
        sent = request.get(_SENT, {})
        # An outer plugin that tries again comes by with what was edited already.
        if not body or body is sent.get(self):
            return
        edited = await self._edited_request(body, request)
        if edited is not None:
            outgoing.replace(edited)
            request[_SENT] = {**sent, self: edited}

    async def _edited_request(self, body: bytes, request: web.BaseRequest) -> bytes | None:
        edits = self._request.edits
        values = edits.values(lambda value: _demanded(value, request))
        try:
            return await _edited(body, edits, values)
        except NotJson as error:
            detail = f"The request body is not valid JSON: {error}."
            raise GatewayError("body_json_invalid", detail) from None
        except Misfit as error:
            raise GatewayError("body_shape_refused", log=str(error)) from None

    # -- the answer

    async def _edit_answer(self, request: web.BaseRequest, answer: Answer) -> None:
        side = self._response
        bodiless = request.method == "HEAD" or answer.status in _BODILESS
        if answer.error is not None or bodiless or answer.payload() == b"":
            return
        if not _is_json(answer.header(hdrs.CONTENT_TYPE)):
            if side.refuses:
                raise GatewayError("answer_type_refused")
            return
        if not side.edits:
            return
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            raise GatewayError("answer_json_invalid", log="a part, though all was asked for")
        body = await answer.read(side.max_size)
        edited = await self._edited_answer(body, request, answer) if body else None
        if edited is not None:
            answer.replace(edited)

    async def _edited_answer(
        self, body: bytes, request: web.BaseRequest, answer: Answer
    ) -> bytes | None:
        edits = self._response.edits
        values = edits.values(lambda value: _offered(value, request, answer))
        try:
            return await _edited(body, edits, values)
        except NotJson as error:
            raise GatewayError("answer_json_invalid", log=str(error)) from None
        except Misfit as error:
            raise GatewayError("answer_shape_refused", log=str(error)) from None


async def _edited(body: bytes, edits: Edits, values: Put) -> bytes | None:
    """Return the edited body, None where nothing changes. Raises NotJson or Misfit."""
    if len(body) <= _AT_ONCE:
        return _edited_now(body, edits, values)
    return await asyncio.to_thread(_edited_now, body, edits, values)


def _edited_now(body: bytes, edits: Edits, values: Put) -> bytes | None:
    try:
        document = Document(body)
        return document.written() if edits.apply(document, values) else None
    except RecursionError:  # how deep that is depends on the chain around: some 900 levels
        raise NotJson("it is nested too deeply") from None


def _demanded(value: Value, request: web.BaseRequest) -> str:
    """Return the value. Raises GatewayError when a part of it is missing or is no clean text."""
    try:
        return value.text(lambda template: render(template, request))
    except ValueError:
        raise GatewayError("value_invalid") from None


def _offered(value: Value, request: web.BaseRequest, answer: Answer) -> str | None:
    """Return the value, or None: after the upstream has acted, a refusal would be a lie."""
    try:
        return value.text(lambda template: render(template, request, answer=answer))
    except (GatewayError, ValueError):
        return None


def _is_json(content_type: str | None) -> bool:
    media = (content_type or "").partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def _has_body(request: web.BaseRequest) -> bool:
    """Tell whether the client announced a body (RFC 9112, 6)."""
    headers = request.headers
    return hdrs.TRANSFER_ENCODING in headers or headers.get(hdrs.CONTENT_LENGTH, "0") != "0"


def _ask_for_all(outgoing: Outgoing) -> None:
    """Ask the upstream for a whole answer that needs no decoding: a part can't be edited."""
    for name in (hdrs.RANGE, hdrs.IF_RANGE):
        if outgoing.header(name) is not None:
            outgoing.headers.popall(name)
    if outgoing.header(hdrs.ACCEPT_ENCODING) not in (None, "identity"):
        outgoing.headers[hdrs.ACCEPT_ENCODING] = "identity"
