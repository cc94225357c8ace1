"""An authorization server whose access tokens are JWTs: `python -m tests.functional.authority PORT`.

Grants, client authentication, PKCE, ID tokens and access tokens (RFC 9068) are Authlib's; refresh tokens
are good once. What Authlib leaves to its user is written here: who the clients and people are, where
codes are kept, discovery.
Nobody signs in: the authorization endpoint believes the form's `user`.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from dataclasses import dataclass
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oidc.core import OpenIDCode
from flask import Flask, Response, jsonify, request
from joserfc.jwk import ECKey

ISSUER = f"http://127.0.0.1:{sys.argv[1]}/o/brain/"
KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
AUDIENCE = "brain"
LIFETIMES = {"brief": 2, "late": -120}
"""Seconds that the tokens of a client are good for, other than 300: `late` gets them expired."""

CODES: dict[str, Code] = {}
REFRESHES: dict[str, Refresh] = {}


@dataclass(frozen=True)
class Client(ClientMixin):  # type: ignore[misc]
    """A client whose secret is its name backwards; tokens of `stranger` are for another audience."""

    name: str

    def get_client_id(self) -> str:
        return self.name

    def get_default_redirect_uri(self) -> str:
        return "http://127.0.0.1/back"

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(word for word in scope.split() if word in ("openid", "crm", "cms"))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.get_default_redirect_uri()

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.name[::-1]

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "client_credentials", "refresh_token")


CLIENTS = {name: Client(name) for name in ("portal", "worker", "stranger", *LIFETIMES)}


@dataclass(frozen=True)
class Person:
    name: str

    def get_user_id(self) -> str:
        return self.name


@dataclass(frozen=True)
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    client: str
    user: str
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    def save_authorization_code(self, code: str, request: Any) -> None:
        asked = request.payload.data
        CODES[code] = Code(
            client=request.client.name,
            user=request.user.name,
            redirect_uri=asked["redirect_uri"],
            scope=asked["scope"],
            nonce=asked.get("nonce"),
            code_challenge=asked["code_challenge"],
            code_challenge_method=asked["code_challenge_method"],
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        self.asked = code
        found = CODES.get(code)
        return found if found is not None and found.client == client.name else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del CODES[self.asked]

    def authenticate_user(self, authorization_code: Code) -> Person:
        return Person(authorization_code.user)


@dataclass(frozen=True)
class Refresh:
    """What a refresh token stands for; each is good once."""

    token: str
    client: str
    user: str
    scope: str

    def check_client(self, client: Client) -> bool:
        return self.client == client.name

    def get_scope(self) -> str:
        return self.scope


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        return REFRESHES.get(refresh_token)

    def authenticate_user(self, refresh_token: Refresh) -> Person:
        return Person(refresh_token.user)

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        del REFRESHES[refresh_token.token]


def _keep(token: dict[str, Any], request: Any) -> None:
    text = token.get("refresh_token")
    if text is not None:
        REFRESHES[text] = Refresh(text, request.client.name, request.user.name, token["scope"])


def _refresh_token(**_: Any) -> str:
    return secrets.token_urlsafe(24)


class IdTokens(OpenIDCode):  # type: ignore[misc]
    def resolve_client_private_key(self, client: Client) -> ECKey:
        return KEY

    def get_client_algorithm(self, client: Client) -> str:
        return "ES256"

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": ISSUER}

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return any(code.nonce == nonce for code in CODES.values())

    def generate_user_info(self, user: Person, scope: str) -> dict[str, Any]:
        return {"sub": user.name, **_of_person(user)}


class AccessTokens(JWTBearerTokenGenerator):  # type: ignore[misc]
    def get_jwks(self) -> ECKey:
        return KEY

    def get_audiences(self, client: Client, user: Person | None, scope: str) -> list[str]:
        return ["elsewhere"] if client.name == "stranger" else [AUDIENCE, client.name]

    def get_extra_claims(
        self, client: Client, grant_type: str, user: Person | None, scope: str
    ) -> dict[str, Any]:
        return {} if user is None else _of_person(user)


def _of_person(user: Person) -> dict[str, Any]:
    """Everybody is of the tenant that stands behind the at sign."""
    return {"tenant_id": user.name.partition("@")[2], "groups": ["Admin"], "name": "Zoë 山田"}


def _lifetime(client: Client, grant_type: str) -> int:
    return LIFETIMES.get(client.name, 300)


def application() -> Flask:
    app = Flask(__name__)
    server = AuthorizationServer(app, CLIENTS.get, _keep)
    server.register_grant(CodeGrant, [IdTokens(require_nonce=True), CodeChallenge(required=True)])
    server.register_grant(grants.ClientCredentialsGrant)
    server.register_grant(RefreshGrant)
    tokens = AccessTokens(ISSUER, "ES256", _refresh_token, _lifetime)
    server.register_token_generator("default", tokens)

    @app.get("/o/brain/.well-known/openid-configuration")
    def configuration() -> Response:
        return jsonify(
            issuer=ISSUER,
            authorization_endpoint=f"{ISSUER}authorize",
            token_endpoint=f"{ISSUER}token",
            jwks_uri=f"{ISSUER}jwks",
            response_types_supported=["code"],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["ES256"],
            code_challenge_methods_supported=["S256"],
        )

    @app.get("/o/brain/jwks")
    def jwks() -> Response:
        return jsonify(keys=[KEY.as_dict(private=False)])

    @app.post("/o/brain/authorize")
    def authorize() -> Any:
        grant = server.get_consent_grant(end_user=None)
        return server.create_authorization_response(
            grant=grant, grant_user=Person(request.form["user"])
        )

    @app.post("/o/brain/token")
    def token() -> Any:
        return server.create_token_response()

    return app


if __name__ == "__main__":
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback
    application().run("127.0.0.1", int(sys.argv[1]))
