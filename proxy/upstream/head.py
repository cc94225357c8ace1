"""The head of an upstream's answer: its bounds, and what it says of the body behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from proxy.errors import GatewayError
from proxy.headers import HOP_BY_HOP, LOWER, Field


@dataclass(frozen=True, slots=True)
class HeadBounds:
    """Most bytes of one field, most of all fields, most fields."""

    field: int = 32 * 1024
    total: int = 64 * 1024
    count: int = 200

    def check(self, fields: Sequence[Field], read: int) -> None:
        """Raise GatewayError `upstream_head_too_large` when the fields are over a bound.

        `read` is how many bytes they came in at most: few heads are so large that a field of theirs
        could be too large, and no others are looked at.
        """
        if len(fields) > self.count:
            raise GatewayError("upstream_head_too_large")
        if read <= self.field:
            return
        sizes = [len(name) + len(value) for name, value in fields]
        if max(sizes, default=0) > self.field or sum(sizes) + 4 * len(sizes) > self.total:
            raise GatewayError("upstream_head_too_large")


NOTED = HOP_BY_HOP | {
    b"content-length",
    b"content-type",
    b"date",
    b"location",
    b"set-cookie",
}
"""Fields that somebody on the way back must look at; all others pass unseen."""


class Head:
    """A final status line with its raw fields, and how its body is framed (RFC 9112, 6.3).

    `noted` holds the last value of each field of `NOTED` by its lower-case name. `length` is the
    Content-Length in bytes or None; `delimited` is False when only the end of the connection ends
    the body. Raises GatewayError `upstream_invalid_response` for a length that is no number, or
    that contradicts another.
    """

    __slots__ = (
        "chunked",
        "delimited",
        "fields",
        "has_body",
        "length",
        "noted",
        "reason",
        "status",
    )

    def __init__(self, status: int, reason: bytes, fields: list[Field], method: str) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.length: int | None = None
        self.chunked = False
        noted: dict[bytes, bytes] = {}
        for name, value in fields:
            lower = LOWER[name]
            if lower in NOTED:
                if lower == b"content-length":
                    self._set_length(value)
                elif lower == b"transfer-encoding":
                    self._set_coding(value)
                noted[lower] = value
        self.noted = noted
        self.has_body = method != "HEAD" and status >= 200 and status not in _BODILESS
        self.delimited = not self.has_body or self.chunked or self.length is not None

    def _set_length(self, value: bytes) -> None:
        if not value.isdigit() or self.length not in (None, int(value)):
            raise GatewayError("upstream_invalid_response", log="bad Content-Length")
        self.length = int(value)

    def _set_coding(self, value: bytes) -> None:
        if self.chunked or value.strip().lower() != b"chunked":
            raise GatewayError("upstream_invalid_response", log="unknown Transfer-Encoding")
        self.chunked = True


_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
