"""A strong validator of a body, and whether a client has that body already."""

from __future__ import annotations

import hashlib
import re

from aiohttp import hdrs, web

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\U0010ffff]*")')


def etag_of(body: bytes) -> str:
    """Return an entity tag that two bodies share only when they are the same bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def has_already(request: web.BaseRequest, etag: str) -> bool:
    """Tell whether `If-None-Match` names `etag`, by weak comparison (RFC 9110, 13.1.2)."""
    given = request.headers.getall(hdrs.IF_NONE_MATCH, ())
    return any(line.strip() == "*" or etag in _TAG.findall(line) for line in given)
