"""What a target sends, on llhttp: heads, a body's framing, trailers.

What is certain is delivered; anything odd behind it retires the connection (RFC 9112, 6.3 and 9.3).
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import httptools

from proxy.errors import GatewayError
from proxy.headers import Field
from proxy.upstream.head import Head, HeadBounds
from proxy.upstream.holding import BodyReader

_LINES = 1024
"""Bytes that status lines may take beside the fields that are bounded."""

Informational = Callable[[int, list[Field]], None]


class AnswerReader(BodyReader):
    """Reads one answer at a time; a `Connection` is one that can also send."""

    __slots__ = (
        "_arriving",
        "_body_seen",
        "_bounds",
        "_fields",
        "_framing_seen",
        "_head",
        "_head_waiter",
        "_informational",
        "_method",
        "_parser",
        "_reason",
        "_remaining",
        "_upgrade_asked",
        "trailers",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, label: str) -> None:
        self._parser: httptools.HttpResponseParser | None = None
        self._method = "GET"
        self._bounds = HeadBounds()
        self._informational: Informational | None = None
        self._upgrade_asked = False
        self._reason = b""
        self._fields: list[Field] = []
        super().__init__(loop, label)

    def _reset(self) -> None:
        self.complete = False
        self.upgraded = False
        self.keep = False
        self.body_received = 0
        self._chunks = []
        self._held = 0
        self._error = None
        self.trailers: list[Field] = []
        self._framing_seen = 0
        self._arriving = 0
        self._body_seen = 0
        self._head: Head | None = None
        self._head_waiter: asyncio.Future[Head] | None = None
        self._remaining: int | None = None

    def _waiters(self) -> tuple[asyncio.Future[Any] | None, ...]:
        return self._head_waiter, self._body_waiter

    @abstractmethod
    def close(self) -> None:
        """Close now: nothing more of this target is wanted."""

    # -- bytes

    @property
    def silent(self) -> bool:
        """Whether not one byte came since the exchange began."""
        return self._head is None and not self._framing_seen

    def data_received(self, data: bytes) -> None:
        if self._remaining is not None:
            self._rest_of_body(data)
        elif self.upgraded:
            self._deliver(data)
        elif not self.busy or self._parser is None or self.complete:
            self._unasked()
        else:
            self._parse(self._parser, data)

    def _parse(self, parser: httptools.HttpResponseParser, data: bytes) -> None:
        self._arriving = len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except GatewayError as error:
            self._fail_with(error)
            self.close()
        except httptools.HttpParserError as error:
            self._parse_error(error)
        else:
            if not self.complete:
                self._after_parse(len(data))

    def _parse_error(self, error: Exception) -> None:
        if self.complete:
            # Behind a complete answer: it stands, and nothing follows it.
            self.keep = False
            return
        cause = error.__context__
        if isinstance(cause, GatewayError):
            self._fail_with(cause)
        else:
            code = "upstream_invalid_response" if self._head is None else "upstream_reset_mid_body"
            self._fail_with(GatewayError(code, log=f"llhttp: {type(error).__name__}"))
        self.close()

    def _after_parse(self, size: int) -> None:
        head = self._head
        if head is None:
            self._count_framing(size)
        elif head.length is not None:
            # What is left is counted here, past llhttp: it has nothing more to say on it.
            self._remaining = head.length - self.body_received
            self._parser = None
        elif self.body_received == self._body_seen:
            self._count_framing(size)
        else:
            self._body_seen = self.body_received
            self._framing_seen = 0

    def _count_framing(self, size: int) -> None:
        """Bound what brings no body: heads, all 1xx among them, chunk extensions and trailers."""
        self._framing_seen += size
        if self._framing_seen > self._bounds.total + _LINES:
            self._fail("upstream_head_too_large")
            self.close()

    def _unasked(self) -> None:
        self.keep = False
        self.close()

    def _upgrade(self, early: bytes) -> None:
        self.upgraded = True
        self.keep = False
        if early:
            self._deliver(early)

    # -- the head: what llhttp calls

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep = False
            raise GatewayError("upstream_invalid_response", log="bytes after a complete answer")
        self._reason = b""
        self._fields = []

    def on_status(self, reason: bytes) -> None:
        self._reason += reason
        if len(self._reason) > self._bounds.field:
            raise GatewayError("upstream_head_too_large")

    def on_header(self, name: bytes, value: bytes) -> None:
        fields = self.trailers if self._head is not None else self._fields
        fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        fields = self._fields
        self._bounds.check(fields, self._framing_seen + self._arriving)
        if status < 200 and status != 101:
            self._inform(status, fields)
            return
        head = Head(status, self._reason, fields, self._method)
        if status == 101:
            self._check_switch(head, parser)
        self.keep = parser.should_keep_alive() and head.delimited
        if head.chunked and parser.get_http_version() == "1.0":
            self.keep = (
                False  # HTTP/1.0 knows no chunks: its framing can't be trusted (RFC 9112, 6.1)
            )
        self._head = head
        self._informational = (
            None  # it knows the request, whose token an idle connection need not keep
        )
        if self._head_waiter is not None and not self._head_waiter.done():
            self._head_waiter.set_result(head)
        if head.has_body:
            self._deadline.clear()
        else:
            self._finish()
            # llhttp does not know that a HEAD has no body: it would wait for one.
            if self._method == "HEAD":
                self._parser = None

    def _inform(self, status: int, fields: list[Field]) -> None:
        if status < 100:
            raise GatewayError("upstream_invalid_response", log="a status below 100")
        if status != 100 and self._informational is not None:
            self._informational(status, fields)

    def _check_switch(self, head: Head, parser: httptools.HttpResponseParser) -> None:
        """A 101 is for who asked, names what it switches to, and has no body (RFC 9110, 15.2.2)."""
        if not self._upgrade_asked:
            raise GatewayError("upstream_upgrade_unasked")
        if not parser.should_upgrade() or head.chunked or head.length:
            raise GatewayError("upstream_invalid_response", log="a 101 that switches to nothing")

    async def head(self) -> Head:
        """Wait for the final head. Raises GatewayError when it does not come or is not valid."""
        return await self.head_waiter()

    def head_waiter(self) -> asyncio.Future[Head]:
        """Return the future that `head` waits for."""
        waiter = self._head_waiter
        if waiter is None:
            waiter = self._head_waiter = self._loop.create_future()
            if self._head is not None:
                waiter.set_result(self._head)
            elif self._error is not None:
                waiter.set_exception(self._error)
        return waiter

    # -- the body: what llhttp calls, and what comes past it

    def on_body(self, data: bytes) -> None:
        head = self._head
        if head is None or not head.has_body:
            self.keep = False
            return
        self._deliver(data)

    def on_message_complete(self) -> None:
        if self._head is not None and not self.complete:
            if self.trailers:
                self._bounds.check(self.trailers, self._framing_seen + self._arriving)
            self._finish()

    def _rest_of_body(self, data: bytes) -> None:
        assert self._remaining is not None
        extra = len(data) - self._remaining
        if extra > 0:
            data = data[: self._remaining]
            self.keep = False
        self._remaining -= len(data)
        self._deliver(data)
        if self._remaining == 0:
            self._remaining = None
            self._finish()

    def eof_received(self) -> bool:
        head = self._head
        self.keep = False
        if head is not None and not head.delimited and not self.complete:
            self._finish()
        self._broken_off()
        return False

    def _broken_off(self) -> None:
        self._fail(
            "upstream_reset_before_headers" if self._head is None else "upstream_reset_mid_body"
        )
