"""An issuer of the bench's own, and the token that every request of a scenario carries."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from joserfc import jwt
from joserfc.jwk import RSAKey

from bench.routes import AUDIENCE, ISSUER

_HOURS = 12 * 3600


@dataclass(frozen=True)
class Guard:
    """``keys`` is a JWKS as JSON, ``public`` the same key in PEM, ``token`` signed by it (RS256)."""

    keys: str
    public: str
    token: str

    @classmethod
    def made(cls) -> Guard:
        """A fresh key of 2,048 bits and a token with the claims that Authentik puts into one."""
        key = RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"})
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "8a2f0c1d9e",
            "iat": now,
            "exp": now + _HOURS,
            "email": "ada@example.com",
            "name": "Ada Lovelace",
            "groups": ["Admin", "Client"],
            "tenant_id": "acme",
            "scope": "openid email profile",
        }
        token = jwt.encode({"alg": "RS256", "kid": "bench", "typ": "JWT"}, claims, key)
        keys = json.dumps({"keys": [key.as_dict(private=False)]})
        return cls(keys, key.as_pem(private=False).decode(), token)
