"""The parts of a JWS (RFC 7515), read so that no two readers could read them in two ways."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def jws_bytes(part: str) -> bytes:
    """Return the bytes of a part in base64url, without padding (RFC 7515, 2).

    Raises ValueError for anything else; bits that belong to no byte must be zero (RFC 4648, 3.5).
    """
    try:
        found = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise ValueError("a part of it is not in base64url") from None
    if urlsafe_b64encode(found).rstrip(b"=") != part.encode():
        raise ValueError("a part of it is not in base64url")
    return found


def jws_object(part: str) -> Mapping[str, Any]:
    """Return the JSON object in a part: in UTF-8, whole letters, each name once (RFC 7515, 4).

    Raises ValueError for anything else.
    """
    raw = jws_bytes(part)
    try:
        # UTF-8 and nothing else (RFC 7519, 7.2): of bytes json would guess it.
        text = raw.decode()
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        if _SURROGATE.search(text) is not None:
            _whole(found)
    except (ValueError, RecursionError):
        raise ValueError("a part of it is no JSON, or says a thing twice") from None
    if not isinstance(found, dict):
        raise ValueError("a part of it is no JSON object")  # noqa: TRY004  a message's content
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _whole(found: Any) -> None:
    """Raise ValueError for half a letter (RFC 8259, 8.2), which can be written to nobody."""
    json.dumps(found, ensure_ascii=False).encode()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
