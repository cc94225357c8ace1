"""What is sent to a token endpoint, and by whom: nothing that shows it shows a value."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from plugins.credentials.oauth.options import Settings
from proxy import GatewayError


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a token is asked for with. Equal ones would be answered the same."""

    client_id: str = field(repr=False)
    client_secret: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)


def credentials_of(
    settings: Settings, fields: Mapping[str, str], client: Mapping[str, str]
) -> Credentials:
    """Return what two secrets hold. Raises GatewayError, `credential_missing`."""
    whose = "it" if settings.client is None else f"its client {settings.client}"
    return Credentials(
        _text(client, "client_id", whose),
        None if settings.client_auth == "none" else _text(client, "client_secret", whose),
        _text(fields, "refresh_token", "it") if settings.refreshes else None,
    )


def _text(fields: Mapping[str, str], name: str, whose: str) -> str:
    value = fields.get(name)
    if not value:
        raise GatewayError("credential_missing", log=f"{whose} has no '{name}'")
    return value


def request_of(settings: Settings, credentials: Credentials) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a token request (RFC 6749, 4.4.2 and 6)."""
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    form = {**dict(settings.parameters), "grant_type": settings.grant}
    if credentials.refresh_token is not None:
        form["refresh_token"] = credentials.refresh_token
    if settings.scope is not None:
        form["scope"] = settings.scope
    if settings.client_auth == "basic":
        headers["Authorization"] = _basic(credentials)
    else:
        form["client_id"] = credentials.client_id
        if credentials.client_secret is not None:
            form["client_secret"] = credentials.client_secret
    return headers, urlencode(form).encode()


def _basic(credentials: Credentials) -> str:
    """Return Basic with both halves encoded as forms are (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret or '')}"
    return "Basic " + b64encode(pair.encode()).decode()
