"""The option `oauth`, as users read it, and what it is made into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy import SecretPath

BEARER = "Bearer ${secret.access_token}"
"""What is sent where an entry puts nothing else."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["token_url", "grant"],
    "description": "Access tokens that the gateway gets from an OAuth 2.0 server and renews, as "
    "${secret.access_token}. Default none: the secret is sent as it stands. The secret's fields are "
    "client_id, client_secret and refresh_token; access_token and expires_at (seconds since 1970) are "
    "written back to it by check-and-set, with a new refresh_token where the server gives one. One "
    "gateway renews at a time: renewing_until and renewing_by stand in the secret meanwhile. Where "
    "nothing else is put, the header is Authorization: Bearer. A server that refuses the grant: 424 "
    "credential_rejected; one that is away: 503 secret_unavailable once the token has ended.",
    "properties": {
        "token_url": {
            "type": "string",
            "pattern": "^https?://[^/?#@\\s]+(/[^#\\s]*)?$",
            "description": "The server's token endpoint, such as https://oauth2.googleapis.com/token. "
            "http only for this machine and names of one label. Redirects are not followed: they would "
            "carry the client's secret elsewhere.",
        },
        "grant": {
            "type": "string",
            "enum": ["refresh_token", "client_credentials"],
            "description": "How a token is got: refresh_token (RFC 6749, 6) for what a tenant has "
            "connected, which needs a store that the gateway may write (KV version 2 of a Vault); "
            "client_credentials (4.4) for the client's own, which is kept in memory where the store "
            "can't be written.",
        },
        "client": {
            "type": "string",
            "minLength": 1,
            "format": "secret-path",
            "description": "The path of another secret of the same store with client_id and "
            "client_secret, such as platform/google-app, for an app that all tenants connect to. "
            "Default none: they stand in the secret itself.",
        },
        "client_auth": {
            "type": "string",
            "enum": ["body", "basic", "none"],
            "default": "body",
            "description": "How the client proves who it is: client_id and client_secret in the body, "
            "by Basic (RFC 6749, 2.3.1), or none, a client_id alone. Default body.",
        },
        "scope": {
            "type": "string",
            "pattern": "^[!#-\\[\\]-~]+( [!#-\\[\\]-~]+)*$",
            "description": "The scopes that are asked for, with a space between. Default none: those "
            "that were granted.",
        },
        "parameters": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9._-]+$"},
            "additionalProperties": {"type": "string", "description": "Its value, as it stands."},
            "default": {},
            "description": "Further parameters that the server asks for, such as audience or resource. "
            "Default none. They are no secrets: /config shows them.",
        },
        "token_type": {
            "type": "string",
            "pattern": "^[!-~]+$",
            "default": "Bearer",
            "description": "The token_type that the server must answer with, in any case. Default "
            "Bearer.",
        },
        "early": {
            "type": "string",
            "format": "duration",
            "default": "60s",
            "description": "How long before its end a token is renewed, behind requests that still use "
            "it; at most half of what is left when it is first seen. Default 60s.",
        },
        "lifetime": {
            "type": "string",
            "format": "timer",
            "default": "1h",
            "description": "How long a token is good whose server does not say. Default 1h.",
        },
        "timeout": {
            "type": "string",
            "format": "timer",
            "default": "5s",
            "description": "How long a request waits for a token, at most 20s; after it it gets 503 "
            "secret_unavailable, and the exchange goes on behind. Default 5s.",
        },
    },
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The option, converted; times in seconds. `shown` is the address without its query."""

    token_url: str
    grant: str
    client_auth: str
    parameters: tuple[tuple[str, str], ...]
    token_type: str
    early: float
    lifetime: float
    timeout: float
    client: str | None
    scope: str | None

    @property
    def refreshes(self) -> bool:
        """Whether it lives by a refresh token, which must never be lost."""
        return self.grant == "refresh_token"

    @property
    def shown(self) -> str:
        """The address, for people."""
        return self.token_url.partition("?")[0]


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return what the option says."""
    client: SecretPath | None = given.get("client")
    more = {
        "parameters": tuple(given["parameters"].items()),
        "client": None if client is None else client.text,
        "scope": given.get("scope"),
    }
    return Settings(**{**given, **more})
