"""The options of `jwt`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.jwt.profiles import PROFILES

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
SHARED = ("HS256",)
MOST_LEEWAY = 300.0
MOST_TOKEN = 16 * 1024


def _names(text: str) -> Mapping[str, Any]:
    return {
        "type": ["string", "array"],
        "minLength": 1,
        "minItems": 1,
        "items": {"type": "string", "minLength": 1, "description": "One name."},
        "description": text,
    }


_CLAIMS: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Which claims mean what; of a list the first that a token has counts.",
    "properties": {
        "subject": _names("Who calls. Default sub."),
        "tenant": _names(
            "For which tenant. Default tenant, then tenant_id. A token without one has no tenant."
        ),
        "roles": _names("Roles: a text or a list of texts. Default roles, then groups."),
        "scopes": _names("Scopes: words in a text, or a list. Default scope, then scopes."),
        "name": _names("What people call the caller, readable as ${claims.name}. Default name."),
    },
}

_ISSUER: Mapping[str, Any] = {
    "issuer": {
        "type": "string",
        "pattern": "^https?://[^\\s?#]+$",
        "description": "The claim iss, compared letter by letter, slash at the end included. Keys come "
        "from what the issuer says of itself (OpenID Connect Discovery), unless jwks_uri, key, key_file "
        "or secret says otherwise.",
    },
    "audience": _names(
        "What a token must be for: one of these must be in its claim aud. There is no default, and no "
        "way to leave the check out: a token for another application would open this gateway."
    ),
    "profile": {
        "enum": list(PROFILES),
        "description": "What all users of an identity provider have alike: where its keys are, its "
        "algorithms, its claims. brain explain and /config show it written out; what stands here "
        "beside it wins. authentik: keys at <issuer>jwks/, RS256, tenant from tenant_id or ak_tenant, "
        "roles from groups, name from name or preferred_username.",
    },
    "jwks_uri": {
        "type": "string",
        "pattern": "^https?://[^\\s#]+$",
        "description": "Where the issuer's keys are, for one without discovery.",
    },
    "key": {
        "type": "string",
        "pattern": "^-----BEGIN (RSA )?PUBLIC KEY-----",
        "description": "The issuer's public key in PEM, for one that publishes none.",
    },
    "key_file": {
        "type": "string",
        "minLength": 1,
        "description": "A file with the issuer's public key in PEM, read again when it changes.",
    },
    "secret": {
        "type": "object",
        "format": "secret",
        "description": "Where the secret is kept that this issuer signs with (HS256): {secret: path, "
        "field: name}; 32 bytes or more. Whoever knows it can make tokens: for an old issuer that can't "
        "do better.",
    },
    "algorithms": {
        "type": "array",
        "minItems": 1,
        "items": {"enum": [*ALGORITHMS, *SHARED], "description": "One algorithm."},
        "description": "Signatures that are taken. Default all of RS, PS, ES 256 to 512 and EdDSA; with "
        "secret HS256 alone. A key verifies by those of its own type only, whatever a token says.",
    },
    "clients": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "minLength": 1, "description": "One client."},
        "description": "Clients that a token may have been given to: its claim azp or client_id. "
        "Default all.",
    },
    "required_claims": {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "description": "One claim."},
        "description": "Claims without which a token is refused, such as tenant_id. Default none; sub, "
        "iss, aud and exp always are.",
    },
    "claims": _CLAIMS,
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Lets callers in that bring a JSON Web Token (RFC 7519, as RFC 8725 advises) of an "
    "issuer that is named here, in Authorization: Bearer (RFC 6750), behind the WebSocket subprotocol "
    "brain.bearer, or in a cookie where one is named.",
    "properties": {
        **_ISSUER,
        "issuers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["issuer", "audience"],
                "properties": _ISSUER,
                "description": "One issuer.",
            },
            "description": "Several issuers, or further ones beside that of issuer and audience.",
        },
        "cookie": {
            "type": "string",
            "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
            "description": "Name of a cookie that may hold the token; two of that name are refused. "
            "Default none: a browser sends a cookie by itself, so that unsafe methods then need an "
            "Origin that cors lists.",
        },
        "subprotocol": {
            "type": "boolean",
            "default": True,
            "description": "Whether a WebSocket may bring its token as the subprotocols brain.bearer "
            "and the token. Default true.",
        },
        "leeway": {
            "type": "string",
            "format": "duration",
            "default": "30s",
            "description": "How far clocks may differ, for exp, nbf and iat. Default 30s, at most 5m.",
        },
        "max_token": {
            "type": "string",
            "format": "size",
            "default": "8KiB",
            "description": "Longest token that is looked at. Default 8KiB, at most 16KiB.",
        },
        "remember": {
            "type": "integer",
            "minimum": 0,
            "maximum": 1000000,
            "default": 10000,
            "description": "How many verified tokens are remembered, by digest and until they expire or "
            "their key is gone: about 3 KiB each. One that is longer than 1 KiB counts as "
            "several, one for each KiB. Default 10000; 0 verifies each time.",
        },
    },
}
