"""A token taken apart, and refused where it is not written as it must be; nothing is verified here."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy import Unauthenticated

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
_REFUSED = frozenset({"b64", "crit", "enc", "jku", "jwk", "x5c", "x5u", "zip"})
"""Header parameters by which a token would bring its own key, or another way to read it."""

CHALLENGE = 'Bearer realm="brain"'
_AGAIN = f'{CHALLENGE}, error="invalid_token"'


@dataclass(frozen=True, slots=True)
class Parts:
    """The header's `alg` and `kid`, and the claims that the token says it has."""

    text: str
    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]


def parts_of(text: str) -> Parts:
    """Return the parts of a signed token in compact form (RFC 7515, 7.1). Raises Unauthenticated.

    Each name stands once (RFC 7515, 4; RFC 7519, 4), and nothing is decoded leniently: what two readers
    could read in two ways is refused.
    """
    found = _COMPACT.fullmatch(text)
    if found is None:
        raise invalid("it is no signed JWT")
    header, claims = _mapping(found[1]), _mapping(found[2])
    _decoded(found[3])
    algorithm, kid = header.get("alg"), header.get("kid")
    kind = header.get("typ", "JWT")
    if not isinstance(algorithm, str) or not (kid is None or isinstance(kid, str)):
        raise invalid("its header is not that of a signed JWT")
    if _REFUSED & header.keys():
        raise invalid("its header would bring a key, or change how it is read")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise invalid("it is another kind of token")
    return Parts(text, algorithm, kid, claims)


def invalid(why: str) -> Unauthenticated:
    """Return the refusal of a token that nobody could mean as it is."""
    return refused("token_invalid", f"the token is refused: {why}")


def refused(code: str, why: str) -> Unauthenticated:
    """Return the refusal of a token (RFC 6750, 3.1). `why` is for the log alone."""
    return Unauthenticated(code, log=why, challenge=_AGAIN)


def _mapping(part: str) -> Mapping[str, Any]:
    try:
        # UTF-8 and nothing else (RFC 7519, 7.2): of bytes json would guess it.
        text = _decoded(part).decode()
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        if _SURROGATE.search(text) is not None:
            _whole(found)
    except (ValueError, RecursionError):
        raise invalid("a part of it is no JSON, or says a thing twice") from None
    if not isinstance(found, dict):
        raise invalid("a part of it is no JSON object")
    return found


def _decoded(part: str) -> bytes:
    """Return the bytes of a part; bits that belong to no byte must be zero (RFC 4648, 3.5)."""
    try:
        found = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise invalid("a part of it is not in base64url") from None
    if urlsafe_b64encode(found).rstrip(b"=") != part.encode():
        raise invalid("a part of it is not in base64url")
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
