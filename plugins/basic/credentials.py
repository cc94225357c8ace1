"""The name and the password on a request (RFC 7617, 2)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

from aiohttp import hdrs, web

from proxy import Unauthenticated

LONGEST = 1024
"""Bytes of name and password together."""

_LONGEST_WRITTEN = (LONGEST + 2) // 3 * 4
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def name_and_password(request: web.BaseRequest) -> tuple[str, str] | None:
    """Return both, None where there is no Basic.

    Raises Unauthenticated for what is neither, and for several lines of which one is Basic.
    """
    given = request.headers.getall(hdrs.AUTHORIZATION, [])
    if not any(map(_is_basic, given)):
        return None
    if len(given) > 1:
        raise Unauthenticated(log="more than one Authorization")
    return _read(given[0][len("Basic") :].strip(" "))


def _is_basic(value: str) -> bool:
    scheme = value.split(None, 1)[:1]
    return bool(scheme) and scheme[0].lower() == "basic"


def _read(written: str) -> tuple[str, str]:
    if len(written) > _LONGEST_WRITTEN:
        raise Unauthenticated(log="name and password are too long")
    try:
        raw = b64decode(written, validate=True)
        text = raw.decode()
    except ValueError:
        raise Unauthenticated(log="not in base64, or not in UTF-8") from None
    if b64encode(raw).decode() != written:  # the decoder lets needless signs at the end pass
        raise Unauthenticated(log="not in base64 as it is written")
    name, colon, password = text.partition(":")
    if not colon or len(raw) > LONGEST or _CONTROL.search(text):
        raise Unauthenticated(log="no name and password")
    return name, password
