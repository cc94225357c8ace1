"""What a token endpoint's answer holds (RFC 6749, 5.1 and 5.2), and what it is when it holds nothing.

Nothing that the server says is repeated, but for the error codes of RFC 6749: a description may hold
what it was sent.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeGuard

from proxy import SecretError

LONGEST = 64 * 1024
"""Bytes of an answer."""

MOST_SECONDS = 366 * 24 * 3600
"""A token that is said to be good for longer is asked for again after so long."""

_TOKEN = re.compile(r"[\x20-\x7e]{1,32768}")  # RFC 6749, A.12 and A.17
_DIGITS = re.compile(r"[0-9]{1,12}")

_REJECTED = frozenset({"invalid_client", "invalid_grant", "unauthorized_client"})
_MISTAKEN = frozenset({"invalid_request", "invalid_scope", "unsupported_grant_type"})


class Rejected(SecretError):
    """The server refuses the client, or what the tenant has granted it."""


class Mistaken(SecretError):
    """The server refuses how it was asked: the options do not fit it."""


class Unusable(Exception):
    """An answer that is none. `retry_after` is in seconds, where the server says how long."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Granted:
    """A token, for how many seconds where the server says so, and the refresh token that is next."""

    access_token: str = field(repr=False)
    seconds: float | None
    refresh_token: str | None = field(repr=False)


def granted(status: int, retry_after: str, body: bytes, token_type: str) -> Granted:
    """Return what was granted. Raises Rejected, Mistaken, Unusable."""
    if status == 429 or status >= 500:
        raise Unusable(f"it answers {status}", _seconds(retry_after))
    if 300 <= status < 400:
        raise Unusable(f"it answers {status}, and a redirect is not followed")
    said = _object(status, body)
    if status in (200, 400, 401) and said.get("error") is not None:
        _refuse(status, said["error"])
    if status != 200:
        raise Unusable(f"it answers {status}")
    return _granted(said, token_type)


def _seconds(text: str) -> float | None:
    return float(text) if _DIGITS.fullmatch(text) else None


def _object(status: int, body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Unusable(f"it answers {status} with what is no JSON object")
    return said


def _no_number(_: str) -> NoReturn:
    raise ValueError("JSON has no such number")


def _refuse(status: int, code: object) -> NoReturn:
    if isinstance(code, str) and code in _REJECTED:
        raise Rejected(f"the server says {code}")
    if isinstance(code, str) and code in _MISTAKEN:
        raise Mistaken(f"the server says {code}", hint="see grant, scope and parameters of 'oauth'")
    raise Unusable(f"it answers {status} with an error that RFC 6749 does not know")


def _granted(said: dict[str, Any], token_type: str) -> Granted:
    token, kind = said.get("access_token"), said.get("token_type")
    if not _is_token(token):
        raise Unusable("its answer has no access_token that can be sent")
    if not isinstance(kind, str) or kind.lower() != token_type.lower():
        raise Unusable(f"its token_type is not {token_type}")
    fresh = said.get("refresh_token")
    if fresh is not None and not _is_token(fresh):
        raise Unusable("its refresh_token is no text")
    return Granted(token, _lifetime(said.get("expires_in")), fresh)


def _is_token(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _lifetime(value: object) -> float | None:
    """Return the seconds. Some servers write them as a text."""
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise Unusable("its expires_in is no number of seconds")
    return float(min(value, MOST_SECONDS))
