"""The keys of a JWKS (RFC 7517), each with the algorithms that it may verify."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    PublicKey = RSAKey | ECKey | OKPKey

MOST_KEYS = 100
SMALLEST_RSA = 2048
"""Bits (RFC 7518, 3.3)."""

_OF_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_OF_CURVE = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),
}
"""RFC 7518, 3.4; RFC 8037, 3.1; RFC 9864, 2.2."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key. `algorithms` follow from its type and curve, and from what it says of itself."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey


def load() -> None:
    """Import what verifies, which takes 60 ms: on a thread, where a loop runs."""
    import_module("joserfc.jws")
    from joserfc.errors import SecurityWarning

    # Of the two names of one signature (RFC 9864, 2.2) issuers still use the older one.
    warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


def keys_of(text: bytes) -> tuple[VerifyingKey, ...]:
    """Return the keys of a JWKS that may verify; others are left out.

    That is a key for another use, of another type, too short, or one whose private half was published.
    Raises ValueError for what is no JWKS, and for one of more than MOST_KEYS keys.
    """
    load()
    try:
        found = json.loads(text)
        listed = found["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("it is no JWKS") from None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise ValueError(f"it is no JWKS of at most {MOST_KEYS} keys")
    return tuple(_usable(listed))


def key_of(pem: str) -> VerifyingKey:
    """Return a public key in PEM. Raises ValueError for what is none that may verify."""
    load()
    for kind in ("RSA", "EC", "OKP"):
        found = _of_pem(pem, kind)
        if found is not None and found.key.is_private:
            raise ValueError("it is a private key: the public one is enough to verify")
        if found is not None:
            return found
    raise ValueError(
        "it is no public key in PEM of RSA (2048 bits or more), P-256/384/521, Ed25519"
    )


def _of_pem(pem: str, kind: Literal["RSA", "EC", "OKP"]) -> VerifyingKey | None:
    from joserfc.jwk import JWKRegistry

    try:
        key = JWKRegistry.import_key(pem, kind)
        return _verifying(key.as_dict(private=False), key)
    except Exception:  # a key may fail to be one in any way
        return None


def _usable(listed: list[Any]) -> Iterator[VerifyingKey]:
    for each in listed:
        if isinstance(each, dict) and _for_verifying(each):
            found = _of_jwk(each)
            if found is not None:
                yield found


def _of_jwk(given: dict[str, Any]) -> VerifyingKey | None:
    from joserfc.jwk import JWKRegistry

    try:
        return _verifying(given, JWKRegistry.import_key(given))
    except Exception:  # one may be broken in any way, and the others hold
        return None


def _for_verifying(key: Mapping[str, Any]) -> bool:
    operations = key.get("key_ops")
    return (
        key.get("kty") in ("RSA", "EC", "OKP")
        and "d" not in key
        and key.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


def _verifying(said: Mapping[str, Any], key: Any) -> VerifyingKey | None:
    """Return the key with its algorithms, None where it has none of ours."""
    may: Collection[str]
    if said["kty"] == "RSA":
        may = _OF_RSA if key.get_op_key("verify").key_size >= SMALLEST_RSA else ()
    else:
        may = _OF_CURVE.get(str(said.get("crv")), ())
    own = said.get("alg")
    algorithms = frozenset(may) if own is None else frozenset(may) & {own}
    kid = said.get("kid")
    if not algorithms or not (kid is None or isinstance(kid, str)):
        return None
    return VerifyingKey(kid, algorithms, key)
