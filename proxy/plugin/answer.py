"""What every handler returns, wherever it was made."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from aiohttp import web
from multidict import CIMultiDict

from proxy.errors import GatewayError, problem_body, proxy_status
from proxy.headers import Field, clean_value, decode, first
from proxy.plugin.decoding import OF_ANSWER, decoded
from proxy.plugin.fields import CleanHeaders, answer_field
from proxy.plugin.streams import Tap, Taps, broken, chained, gather, tapped

_BODY_BOUND = (
    "Content-Encoding",
    "ETag",
    "Content-MD5",
    "Digest",
    "Content-Digest",
    "Repr-Digest",
    "Accept-Ranges",
    "Content-Range",
    "Transfer-Encoding",
    "Trailer",
)
"""Fields that speak of the bytes that a replaced body no longer is."""


class Download(Protocol):
    """An upstream's body on its way. Reading it to the end gives its connection back."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None:
        """Drop what is left, and the connection with it."""


class Answer(web.StreamResponse):
    """A response that is not sent yet: plugins may edit status, headers and body.

    `origin` is "upstream", "gateway", or the plugin's name. An upstream's answer that nobody touches
    is relayed as raw bytes; a plugin pays for what it touches, and only then.
    """

    origin: str
    error: GatewayError | None = None
    dated = False
    framed: bool | None = None
    _made_headers: CleanHeaders | None = None
    _content: bytes | None = None
    _download: Download | None = None
    _stream: AsyncIterator[bytes] | None = None
    _taps: Taps | None = None

    def __init__(
        self,
        *,
        status: int = 200,
        headers: Mapping[str, str] | CIMultiDict[str] | None = None,
        body: bytes = b"",
        content_type: str | None = None,
        origin: str = "plugin",
    ) -> None:
        """Make an answer of the gateway's own.

        Raises ValueError for an unclean header, and for a status outside of 200 to 999.
        """
        self._begin(status, None, origin)
        made = CleanHeaders()
        made.update(headers or {})
        self._made_headers = made
        if content_type is not None:
            made["Content-Type"] = content_type
        if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            made["Content-Length"] = str(len(body))
        self._content = body

    def _begin(self, status: int, reason: str | None, origin: str) -> None:
        # StreamResponse.__init__ would make headers and a state mapping for every answer; what it
        # sets is set here, lazily where it can be.
        self._status = _final(status)
        self._reason = (
            HTTPStatus(status).phrase if reason is None and status in _KNOWN else reason or ""
        )
        self.origin = origin
        self._fields: list[Field] = []

    @classmethod
    def from_upstream(
        cls,
        status: int,
        reason: str,
        fields: list[Field],
        body: Download | bytes,
        *,
        dated: bool = False,
        framed: bool | None = None,
    ) -> Answer:
        """Make an answer of an upstream's raw end-to-end fields and its body.

        `dated` tells that a Date is among the fields; `framed` whether a body's length is, None
        where there is no body and a length would speak of another one.
        """
        self = cls.__new__(cls)
        self._status = status
        self._reason = reason
        self.origin = "upstream"
        self._fields = fields
        self.dated = dated
        self.framed = framed
        if type(body) is bytes:
            self._content = body
        else:
            self._download = cast("Download", body)
        return self

    @classmethod
    def json(
        cls, data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Make a JSON answer."""
        body = json.dumps(data).encode()
        return cls(status=status, headers=headers, body=body, content_type="application/json")

    @classmethod
    def problem(
        cls,
        error: GatewayError,
        *,
        request_id: str,
        service: str | None,
        origin: str = "gateway",
        received: int | None = None,
    ) -> Answer:
        """Make the one problem body of an error (RFC 9457), with its Proxy-Status (RFC 9209).

        `received` is the status of an upstream's answer that the client gets this one for.
        """
        answer = cls(
            status=error.status,
            headers=error.headers,
            body=problem_body(error, request_id=request_id, service=service),
            content_type="application/problem+json",
            origin=origin,
        )
        # A plugin's error may bring what another proxy said: each hop adds to it (RFC 9209, 2).
        answer._headers.add("Proxy-Status", proxy_status(error, received))
        answer._headers["Cache-Control"] = "no-store"
        answer.error = error
        return answer

    @classmethod
    def of(cls, response: Any) -> Answer:
        """Return `response` as an Answer: itself, or an aiohttp Response made by a middleware.

        Raises TypeError for what can't be relayed: None, files, prepared streams.
        """
        if isinstance(response, Answer):
            return response
        if not isinstance(response, web.Response):
            raise TypeError(
                f"a plugin returns an Answer, such as its handler gave, not {type(response).__name__}"
            )
        body = response.body
        if not isinstance(body, (bytes, bytearray, type(None))):
            raise TypeError(f"a response's body must be bytes here, not {type(body).__name__}")
        answer = cls(status=response.status, body=bytes(body or b""))
        answer._reason = response.reason
        for name, value in response.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding"):
                answer._headers.add(name, value)
        for morsel in response.cookies.values():
            answer.add_header("Set-Cookie", morsel.OutputString())
        return answer

    def __repr__(self) -> str:
        return f"<Answer {self._status} from {self.origin}>"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    if not TYPE_CHECKING:  # read for every answer: attrgetter is faster than aiohttp's functions
        status = property(attrgetter("_status"))
        reason = property(attrgetter("_reason"))
        keep_alive = property(attrgetter("_keep_alive"))

    def set_status(self, status: int, reason: str | None = None) -> None:
        """Set the status and its reason. Raises ValueError outside of 200 to 999."""
        super().set_status(_final(status), reason)

    @cached_property
    def _state(self) -> dict[str | web.ResponseKey[Any], Any]:  # type: ignore[override]
        # What a plugin keeps by `answer["key"]`; hardly any does.
        return {}

    # -- headers

    @property
    def _headers(self) -> CleanHeaders:  # type: ignore[override]
        if self._made_headers is None:
            self._made_headers = CleanHeaders.from_wire(self._fields)
        return self._made_headers

    @property
    def headers(self) -> CleanHeaders:
        """The headers to send, made on first access. A value that is not clean raises there."""
        return self._headers

    def header(self, name: str) -> str | None:
        """Return the first value of `name`, leaving the headers on their raw way."""
        if self._made_headers is not None:
            return self._made_headers.get(name)
        found = first(self._fields, name)
        return None if found is None else decode(found)

    def add_header(self, name: str, value: str) -> None:
        """Append a header, leaving the others on their raw way.

        Raises TypeError or ValueError for a value that is not clean, and ValueError for a framing or
        hop-by-hop one, which would stand beside the gateway's.
        """
        field = answer_field(name, value)
        if self._made_headers is not None:
            self._made_headers.add(name, value)
        else:
            self._fields.append(field)

    def set_cookie(self, name: str, value: str, **attributes: Any) -> None:
        """Set a cookie, replacing one that was set here before; an upstream's cookies stay.

        `attributes` are aiohttp's: expires, domain, max_age (seconds), path ("/" where not given),
        secure, httponly, samesite, partitioned. Raises ValueError for an unclean one.
        """
        super().set_cookie(name, value, **attributes)
        clean_value("Set-Cookie", self.cookies[name].OutputString())

    @property
    def untouched(self) -> bool:
        """Whether fields and body are as an upstream framed them, appended headers aside.

        Then there is a body: `framed` is None for an answer that has none.
        """
        return self._made_headers is None and self._stream is None and self.framed is not None

    def wire_fields(self) -> list[Field]:
        """Return the raw fields to send, cookies set by plugins included."""
        if self._cookies:
            for morsel in self._cookies.values():
                self.add_header("Set-Cookie", morsel.OutputString())
            self._cookies = None
        return self._fields if self._made_headers is None else self._made_headers.to_wire()

    # -- body

    @property
    def body(self) -> AsyncIterator[bytes]:
        """The body to send. Assign to wrap it: its length is then open and it is sent chunked."""
        if self._stream is None:
            content, download = self._content, self._download
            if content is None and download is not None:
                self._stream = (
                    tapped(aiter(download), self._taps) if self._taps else aiter(download)
                )
            else:
                self._stream = chained([content] if content else [])
        return self._stream

    @body.setter
    def body(self, body: AsyncIterator[bytes]) -> None:
        self._stream = body
        self._content = None
        for name in ("Content-Length", *_BODY_BOUND[2:6], "Content-Range"):
            self._headers.popall(name, None)

    def tap(self, tap: Tap) -> None:
        """Show the body to `tap` as it goes by from here on, leaving the answer on its raw way.

        `tap.feed(data)` gets every chunk, `tap.end()` is called behind the last one. What goes by is
        the body as it is now: what an outer plugin makes of it is not seen, and a body that is never
        sent, or breaks off, has no end. A body that is here already goes by at once.
        """
        if self._stream is not None:
            self._stream = tapped(self._stream, Taps(tap))
        elif self._content is not None:
            seen = Taps(tap)
            seen.feed(self._content)
            seen.end()
        elif self._taps is None:
            self._taps = Taps(tap)
        else:
            self._taps.add(tap)

    @property
    def taps(self) -> Taps | None:
        """Who is shown the body on its raw way to the client, None where nobody is."""
        return self._taps

    async def read(self, limit: int) -> bytes:
        """Return the whole body, its Content-Encoding undone; it stays sendable as it was.

        `limit` is in bytes, of the coded and of the decoded body. Raises GatewayError
        `answer_too_large`, `answer_coding_unknown` or `answer_invalid` (502); what was too large
        may still be sent.
        """
        if self._content is None:
            self._content = await self._collect(limit)
            self._stream = None
        return decoded(self._content, self.header("Content-Encoding"), limit, OF_ANSWER)

    async def _collect(self, limit: int) -> bytes:
        body, parts = self.body, list[bytes]()
        try:
            if await gather(body, parts, limit):
                return b"".join(parts)
        except Exception as error:
            self._stream = broken(parts, error)
            raise
        self._stream = chained(parts, body)
        raise GatewayError("answer_too_large")

    def replace(self, body: bytes, content_type: str | None = None) -> None:
        """Send `body` instead: sets Content-Length, drops what spoke of the old bytes."""
        if self._download is not None:
            self._download.close()
        self._content = body
        self._stream = None
        for name in _BODY_BOUND:
            self._headers.popall(name, None)
        self._headers["Content-Length"] = str(len(body))
        if content_type is not None:
            self._headers["Content-Type"] = content_type

    def payload(self) -> bytes | Download | AsyncIterator[bytes]:
        """Return what is to be sent: whole bytes, the untouched download, or a stream."""
        if self._stream is not None:
            return self._stream
        if self._content is not None:
            return self._content
        return cast(Download, self._download)

    def close(self) -> None:
        """Drop a body that will not be sent, and its upstream connection with it."""
        if self._download is not None:
            self._download.close()

    # -- what aiohttp would do itself

    async def prepare(self, request: web.BaseRequest) -> None:
        """Raise: the gateway sends an answer, a plugin never does."""
        raise RuntimeError("a plugin returns its answer and never calls prepare() on it")

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Raise: assign to `body` instead."""
        raise RuntimeError("assign an async iterator to answer.body instead of writing")

    def enable_compression(self, *_: Any, **__: Any) -> NoReturn:
        """Raise: wrap `body` instead."""
        raise RuntimeError("wrap answer.body and set Content-Encoding instead")

    def enable_chunked_encoding(self, *_: Any, **__: Any) -> NoReturn:
        """Raise: the gateway frames what it sends."""
        raise RuntimeError("the gateway frames answers: a wrapped body is sent chunked")


_KNOWN = frozenset(HTTPStatus)


def _final(status: int) -> int:
    """Return the status of an answer that is the last to its request (RFC 9110, 15.2).

    After a 1xx a client goes on waiting, and takes the next answer for this one.
    """
    if not 200 <= status <= 999:
        raise ValueError(f"an answer's status is 200 to 999, not {status}")
    return status
