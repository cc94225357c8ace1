"""Stand-in for Authentik: an OpenID provider that gives everybody any token.

It has the layout of Authentik's: an issuer for each application, its keys below it, and claims as the
platform's tokens have them (RFC 7519; OpenID Connect Discovery 1.0, 4.2).
"""

import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

APPLICATION: Final = "/application/o/brain/"
TENANTS: Final = ("acme", "globex")
ROLES: Final[Mapping[str, str]] = {
    "super-admin": "Super Admin",
    "admin": "Admin",
    "partner": "Partner",
    "client": "Client",
}

_HOUR: Final = 3600
_KEY: Final = web.AppKey("key", RSAKey)


def application() -> web.Application:
    """Discovery, keys, and `/tokens/TENANT/ROLE`: a token good for an hour, as plain text."""
    app = web.Application()
    app[_KEY] = RSAKey.generate_key(2048, {"kid": secrets.token_hex(8), "alg": "RS256"})
    app.router.add_get(f"{APPLICATION}.well-known/openid-configuration", _configuration)
    app.router.add_get(f"{APPLICATION}jwks/", _keys)
    app.router.add_get("/tokens/{tenant}/{role}", _token)
    return app


def _issuer(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}{APPLICATION}"


async def _configuration(request: web.Request) -> web.Response:
    issuer = _issuer(request)
    base = issuer.removesuffix("brain/")
    return web.json_response(
        {
            "issuer": issuer,
            "jwks_uri": f"{issuer}jwks/",
            "authorization_endpoint": f"{base}authorize/",
            "token_endpoint": f"{base}token/",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


async def _keys(request: web.Request) -> web.Response:
    public = request.app[_KEY].as_dict(private=False)
    return web.json_response({"keys": [{**public, "use": "sig"}]})


async def _token(request: web.Request) -> web.Response:
    tenant, role = request.match_info["tenant"], request.match_info["role"]
    if tenant not in TENANTS or role not in ROLES:
        raise web.HTTPNotFound(text=f"tenants: {', '.join(TENANTS)}; roles: {', '.join(ROLES)}\n")
    key = request.app[_KEY]
    header = {"alg": "RS256", "kid": key.kid, "typ": "JWT"}
    return web.Response(text=jwt.encode(header, _claims(_issuer(request), tenant, role), key))


def _claims(issuer: str, tenant: str, role: str) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": issuer,
        "aud": "brain",
        "sub": f"{tenant}-{role}",
        "iat": now,
        "exp": now + _HOUR,
        "email": f"{role}@{tenant}.example.com",
        "name": f"{ROLES[role]} of {tenant.capitalize()}",
        "preferred_username": f"{role}@{tenant}",
        "groups": [ROLES[role]],
        "tenant_id": tenant,
    }
