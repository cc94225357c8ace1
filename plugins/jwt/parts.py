"""A token taken apart, and refused where it is not written as it must be; nothing is verified here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy import Unauthenticated, jws_bytes, jws_object

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
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
    try:
        header, claims = jws_object(found[1]), jws_object(found[2])
        jws_bytes(found[3])
    except ValueError as error:
        raise invalid(str(error)) from None
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
