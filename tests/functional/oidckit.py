"""Real issuers of tokens for tests, each a process of its own on a free port of loopback.

`Provider` is `oidc-provider-mock` as it comes: OpenID Connect with discovery, a login form and RS256
ID tokens without `kid`. What is not real is its door, which lets in whom the form names. Its access
tokens mean nothing to others, it knows neither PKCE nor client credentials, and its issuer has no path.

`Authority` (authority.py) has what it lacks: Authlib's authorization server with PKCE, client
credentials and access tokens that are JWTs (RFC 9068), signed by ES256. Its people, who need no
password, and its clients are the tests' own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from aiohttp import ClientConnectionError, ClientSession, encode_basic_auth, hdrs
from aiohttp.test_utils import unused_port

BACK = "http://127.0.0.1/back"
"""Where people are sent behind the login; nobody listens there, the address is read."""

Tokens = dict[str, Any]


class Issuer:
    """A process that publishes an OpenID configuration below `issuer`, and `http` to talk to it."""

    def __init__(self) -> None:
        self.port = unused_port()
        self.issuer = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        raise NotImplementedError

    async def start(self) -> Self:
        self.http = ClientSession()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *self.command()),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(30):
            while not await self._answers():
                assert self._process.returncode is None, f"{self.command()} does not start"
                await asyncio.sleep(0.02)
        return self

    async def stop(self) -> None:
        await self.http.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _answers(self) -> bool:
        address = f"{self.issuer.removesuffix('/')}/.well-known/openid-configuration"
        try:
            async with self.http.get(address) as answer:
                self.told = await answer.json()
        except ClientConnectionError:
            return False
        return bool(self.told["issuer"] == self.issuer)

    # -- what a portal does for its people

    async def log_in(self, person: str, client: str = "portal", **more: str) -> Tokens:
        """Take a person through the login and return the tokens that the client gets for the code."""
        verifier = secrets.token_urlsafe(48)
        state, nonce = secrets.token_urlsafe(), secrets.token_urlsafe()
        asked = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": BACK,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        code = await self._code(asked, person)
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
        tokens = await self.ask_token({**given, "code_verifier": verifier, **more}, client)
        if "id_token" in tokens:
            assert unread(tokens["id_token"])["nonce"] == nonce
        return tokens

    async def _code(self, asked: dict[str, str], person: str) -> str:
        address = self.told["authorization_endpoint"]
        form = {"sub": person, "user": person}
        async with self.http.post(
            address, params=asked, data=form, allow_redirects=False
        ) as answer:
            assert answer.status == 302, await answer.text()
            back = answer.headers["Location"]
        assert back.startswith(BACK)
        said = parse_qs(urlsplit(back).query)
        assert said["state"] == [asked["state"]]
        return said["code"][0]

    async def ask_token(self, form: dict[str, str], client: str) -> Tokens:
        """Ask the token endpoint as a client whose secret is its name backwards."""
        proof = {hdrs.AUTHORIZATION: encode_basic_auth(client, client[::-1])}
        async with self.http.post(self.told["token_endpoint"], data=form, headers=proof) as answer:
            return {"status": answer.status, **await answer.json()}


class Provider(Issuer):
    """`oidc-provider-mock`; tokens of its people are good for `lifetime` seconds."""

    def __init__(self, lifetime: int = 300) -> None:
        super().__init__()
        self.lifetime = lifetime

    def command(self) -> list[str]:
        return [
            *("oidc_provider_mock", "--host", "127.0.0.1", "--port", str(self.port)),
            f"--token-max-age={self.lifetime}",
        ]

    async def _code(self, asked: dict[str, str], person: str) -> str:
        """Ask for the form first, as a browser does."""
        async with self.http.get(self.told["authorization_endpoint"], params=asked) as page:
            assert page.status == 200
            assert '<input type="text" name="sub"' in await page.text()
        return await super()._code(asked, person)

    async def describe(self, person: str, **claims: Any) -> None:
        """Say what the provider knows of a person."""
        async with self.http.put(f"{self.issuer}/users/{person}", json=claims) as answer:
            assert answer.status == 204, await answer.text()


class Authority(Issuer):
    """Authlib's authorization server: people are `name@tenant`, clients those of authority.py."""

    def __init__(self) -> None:
        super().__init__()
        self.issuer = f"http://127.0.0.1:{self.port}/o/brain/"

    def command(self) -> list[str]:
        return ["tests.functional.authority", str(self.port)]

    async def for_itself(self, client: str, scope: str = "crm") -> Tokens:
        """Return what a client gets for its own credentials (RFC 6749, 4.4)."""
        return await self.ask_token({"grant_type": "client_credentials", "scope": scope}, client)


@contextlib.asynccontextmanager
async def running(issuer: Issuer) -> AsyncIterator[Issuer]:
    """Run an issuer for one test; one that does not start is a failure."""
    try:
        yield await issuer.start()
    finally:
        await issuer.stop()


def unread(token: str) -> dict[str, Any]:
    """Return the claims of a token, whoever signed it."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
