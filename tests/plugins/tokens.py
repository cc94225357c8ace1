"""An issuer's key and the tokens that it signs, for tests of what reads them."""

from __future__ import annotations

import base64
import json
import warnings
from functools import cache
from typing import Any

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

ISSUER = "https://sso.example.com/application/o/brain/"
NOW = 1_900_000_000

Key = RSAKey | ECKey | OKPKey | OctKey


@cache
def rsa(name: str = "one", bits: int = 2048) -> RSAKey:
    """A key of its own for each name; they take long to make."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # a test may want too short a key
        return RSAKey.generate_key(bits, {"kid": name})


def pem(key: Any) -> str:
    text: str = key.as_pem(private=False).decode()
    return text


def jwks(*keys: Any, **more: Any) -> str:
    return json.dumps({"keys": [{**key.as_dict(private=False), **more} for key in keys]})


def claims(**more: Any) -> dict[str, Any]:
    """Good claims; what is given replaces them, None removes."""
    good = {
        "iss": ISSUER,
        "aud": "brain",
        "sub": "ada",
        "iat": NOW - 10,
        "exp": NOW + 300,
        "tenant_id": "acme",
        "groups": ["Admin"],
        "email": "ada@example.com",
    }
    return {name: value for name, value in {**good, **more}.items() if value is not None}


def token(
    key: Key | None = None, header: dict[str, Any] | None = None, alg: str = "RS256", **more: Any
) -> str:
    """A token of these claims, signed by `key`."""
    key = key or rsa()
    whole = {"alg": alg, "typ": "JWT", **({"kid": key.kid} if key.kid else {}), **(header or {})}
    return signed(whole, json.dumps(claims(**more)).encode(), key)


def signed(header: dict[str, Any], payload: bytes, key: Key) -> str:
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(header, payload, key, registry=registry)


def part(text: bytes | str) -> str:
    """One part of a token."""
    raw = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
