"""The plugin that gives a fixed answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import hdrs, web

from plugins.respond.content import JSON, TEXT, as_json, read, type_of
from plugins.respond.options import SCHEMA
from plugins.respond.passing import Passing
from plugins.respond.validator import etag_of, has_already
from proxy import Answer, Exchange, Handler, Plugin, PluginContext, Problems, Stage

_READING = frozenset({"GET", "HEAD"})
_BODILESS = frozenset({204, 205, 304})

_OWN = {
    "content-type": "'content_type' says it",
    "etag": "it is made of the body",
    "date": "the gateway writes it",
}
"""Headers that are set otherwise, and how."""


class Respond(Plugin):
    """Gives one answer to all requests but those that may pass.

    It stands behind authentication unless its options say otherwise: what is meant for callers that
    are known must not leak by being fixed.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.TRANSFORM

    def __init__(
        self,
        *,
        status: int,
        headers: Mapping[str, str],
        anonymous: bool,
        allow: Sequence[str],
        allow_header: Mapping[str, str] | None = None,
        body: str | None = None,
        json: Any = None,
        file: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self._given = {"body": body, "json": json, "file": file}
        self._status = status
        self._file = None if file is None else Path(file).absolute()
        self._type = content_type
        self._headers = dict(headers)
        self._passing = Passing(allow, allow_header)
        self._body = b""
        self._etag = ""
        if anonymous:
            self.stage = Stage.GUARD
        if self._passing.header is not None:
            self.protects = frozenset({self._passing.header.lower()})

    # -- at load

    def check(self, problems: Problems) -> None:
        given = [name for name, value in self._given.items() if value is not None]
        if len(given) > 1:
            problems.add(given[1], f"'{given[1]}' can't stand beside '{given[0]}': one is the body")
        elif given and self._status in _BODILESS:
            problems.add(given[0], f"an answer with status {self._status} has no body")
        try:
            as_json(self._given["json"])
        except ValueError:
            problems.add("json", "JSON has no infinite number, and none that is not a number")
        for name, value in self._headers.items():
            if (how := _OWN.get(name.lower())) is not None:
                problems.add(f"headers.{name}", f"'{name}' can't be set here: {how}")
            else:
                _check_header(problems, f"headers.{name}", name, value)
        if self._type is not None and not given:
            problems.add("content_type", "there is no body that 'content_type' could speak of")
        elif self._type is not None:
            _check_header(problems, "content_type", hdrs.CONTENT_TYPE, self._type)

    async def setup(self, context: PluginContext) -> None:
        body, content_type = await self._content()
        if content_type is not None:
            self._headers[hdrs.CONTENT_TYPE] = self._type or content_type
        self._body = body
        if self._status == 200:
            self._etag = etag_of(body)

    async def _content(self) -> tuple[bytes, str | None]:
        """Return the body and what it is. Raises ConfigError for an unusable file."""
        text, value = self._given["body"], self._given["json"]
        if self._file is not None:
            return await asyncio.to_thread(read, self._file), type_of(self._file)
        if text is not None:
            return text.encode(), TEXT
        return (b"", None) if value is None else (as_json(value), JSON)

    def explain(self, exchange: Exchange) -> list[str]:
        if self._passing.is_near(exchange.client.address):
            return [f"lets {exchange.client.address} pass: it is listed in 'allow'"]
        header = self._passing.header
        but = "" if header is None else f", unless the right {header} comes with the request"
        return [f"answers {self._status} itself{but}"]

    # -- on the way of a request

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        if self._passing and self._passing.lets(request):
            return handler(request)
        return self._answer(request)

    async def _answer(self, request: web.BaseRequest) -> Answer:
        if not self._etag or request.method not in _READING:
            return Answer(status=self._status, headers=self._headers, body=self._body)
        headers = {**self._headers, hdrs.ETAG: self._etag}
        if has_already(request, self._etag):
            headers.pop(hdrs.CONTENT_TYPE, None)
            return Answer(status=304, headers=headers)
        return Answer(status=200, headers=headers, body=self._body)


def _check_header(problems: Problems, option: str, name: str, value: str) -> None:
    try:
        Answer().add_header(name, value)
    except ValueError as error:
        problems.add(option, str(error))
