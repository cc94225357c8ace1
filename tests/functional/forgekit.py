"""Tokens that nobody should believe, made by hand: libraries refuse to write most of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwe
from joserfc.jwk import ECKey, RSAKey

from tests.functional.keykit import KeyServer
from tests.plugins.tokens import part, pem, signed

Json = dict[str, Any]


def claims_of(issuer: KeyServer, **more: Any) -> Json:
    """Return good claims; what is given replaces them, None removes."""
    now = int(time.time())
    good = {"iss": issuer.issuer, "aud": "brain", "sub": "ada", "iat": now, "exp": now + 300}
    return {name: value for name, value in {**good, **more}.items() if value is not None}


def header_of(key: Any, **more: Any) -> Json:
    return {"alg": "RS256", "typ": "JWT", "kid": key.kid, **more}


def text(value: Any) -> str:
    return json.dumps(value)


def by_hand(header: str | Json, payload: str | bytes | Json, key: RSAKey) -> str:
    """Sign exactly these texts by RS256, whatever they say."""
    first = part(header if isinstance(header, str) else text(header))
    second = part(text(payload) if isinstance(payload, dict) else payload)
    private = key.get_op_key("sign")
    signature = private.sign(f"{first}.{second}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{first}.{second}.{part(signature)}"


def unsigned(issuer: KeyServer, algorithm: Any, signature: str = "") -> str:
    """Return a token of an algorithm that needs no key, or of none."""
    header = {"alg": algorithm, "typ": "JWT", "kid": issuer.keys[0].kid}
    return f"{part(text(header))}.{part(text(claims_of(issuer)))}.{signature}"


def by_shared(header: Json, claims: Json, secret: bytes, digest: str = "sha256") -> str:
    """Sign by HMAC with any bytes as the secret."""
    body = f"{part(text(header))}.{part(text(claims))}"
    return f"{body}.{part(hmac.new(secret, body.encode(), digest).digest())}"


def public_texts(key: RSAKey) -> dict[str, bytes]:
    """Return what a confused verifier may take for a secret: a public key in each of its texts."""
    whole = pem(key).encode()
    der = base64.b64decode(b"".join(whole.splitlines()[1:-1]))
    jwk = key.as_dict(private=False)
    return {
        "PEM": whole,
        "PEM without its last line end": whole.rstrip(b"\n"),
        "DER": der,
        "JWK": json.dumps(jwk).encode(),
        "JWK, compact": json.dumps(jwk, separators=(",", ":")).encode(),
        "JWKS": json.dumps({"keys": [jwk]}).encode(),
        "modulus": base64.urlsafe_b64decode(jwk["n"] + "=="),
        "modulus, encoded": jwk["n"].encode(),
        "thumbprint": key.thumbprint().encode(),
        "digest of the DER": hashlib.sha256(der).digest(),
        "nothing": b"",
    }


def with_certificate(issuer: KeyServer) -> str:
    """Return a token that brings a certificate of its own, by whose key it is signed."""
    authority = trustme.CA()
    key = ECKey.import_key(authority.private_key_pem.bytes())
    lines = authority.cert_pem.bytes().decode().split("\n")
    chain = ["".join(line for line in lines if line and not line.startswith("-----"))]
    header = {"alg": "ES256", "typ": "JWT", "x5c": chain}
    return signed(header, text(claims_of(issuer)).encode(), key)


def bare(key: RSAKey) -> RSAKey:
    """Return a key that says nothing of what it is for, which the one who holds it need not heed."""
    said = key.as_dict(private=True)
    return RSAKey.import_key({k: v for k, v in said.items() if k not in ("alg", "use", "kid")})


def sealed(key: RSAKey, inner: bytes) -> str:
    """Return an encrypted token (RFC 7516) that anybody can make, the key being public."""
    public = bare(key)
    header = {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": key.kid, "cty": "JWT"}
    return jwe.encrypt_compact(header, inner, public)
