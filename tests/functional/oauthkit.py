"""A token endpoint that rotates refresh tokens, takes a second use for theft, and errs on command."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web
from aiohttp.test_utils import unused_port

from tests.functional.baokit import Bao
from tests.functional.kit import OK, Gateway, RecordingUpstream, Reply
from tests.functional.test_plugins_access import bearer

CLIENT = ("portal", "s3same of:the+app")


@dataclass
class TokenServer:
    """It keeps its port while it is down. Tokens hold `s3same`, for tests to look for.

    `grants` are the refresh tokens that are good now, by who has connected; who uses one a second time
    loses all that was granted. `next` are answers that come first: (status, body, headers).
    """

    port: int = field(default_factory=unused_port)
    rotates: bool = True
    seconds: Any = 3600
    delay: float = 0.0
    grants: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    reused: int = 0
    good: set[str] = field(default_factory=set)
    next: deque[tuple[int, bytes, dict[str, str]]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._runner: web.ServerRunner | None = None
        self._used: set[str] = set()
        self._made = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    @property
    def exchanges(self) -> int:
        return len(self.asked)

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def connect(self, name: str) -> str:
        """Grant something, and return the refresh token of it."""
        self._made += 1
        token = self.grants[name] = f"s3same-refresh-{name}-{self._made}"
        return token

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append({**form, "authorization": request.headers.get("Authorization", "")})
        await asyncio.sleep(self.delay)
        if self.next:
            status, body, headers = self.next.popleft()
            return web.Response(status=status, body=body, headers=headers)
        if _client(form, request) != CLIENT:
            return _refused("invalid_client", 401)
        if form["grant_type"] == "client_credentials":
            return web.json_response(self._token("app"))
        return self._refreshed(form.get("refresh_token", ""))

    def _refreshed(self, given: str) -> web.Response:
        name = next((name for name, token in self.grants.items() if token == given), None)
        if given in self._used:
            self.reused += 1
            self.grants.clear()
        if name is None:
            return _refused("invalid_grant", 400)
        said = self._token(name)
        if self.rotates:
            self._used.add(given)
            said["refresh_token"] = self.connect(name)
        return web.json_response(said)

    def _token(self, name: str) -> dict[str, Any]:
        self._made += 1
        token = f"s3same-access-{name}-{self._made}"
        self.good.add(token)
        said = {"access_token": token, "token_type": "bearer", "expires_in": self.seconds}
        return {key: value for key, value in said.items() if value is not None}


def _client(form: dict[str, str], request: web.BaseRequest) -> tuple[str, str]:
    scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    name, _, secret = b64decode(pair).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)


def _refused(code: str, status: int) -> web.Response:
    told = {"error": code, "error_description": "s3same-description of what was sent"}
    return web.json_response(told, status=status)


# -- what stands around it

REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"


class Api(RecordingUpstream):
    """An upstream that takes the tokens of `good` alone, where that is set."""

    def __init__(self) -> None:
        self.good: set[str] | None = None
        super().__init__()

    @property
    def sent(self) -> str:
        """The token that came last."""
        return (self.last.header("Authorization") or "").removeprefix("Bearer ")

    @property  # type: ignore[override]
    def answer(self) -> bytes:
        return OK if self.good is None or self.sent in self.good else REFUSED

    @answer.setter
    def answer(self, _: bytes) -> None:
        """All that it says depends on the token."""


def routes(bao: Bao, issuer: TokenServer, api: Api, more: str = "", **oauth: str) -> str:
    """Return a file with one service, whose tokens are of the caller's tenant."""
    options = {
        "token_url": f'"{issuer.url}"',
        "grant": "refresh_token",
        "client": "platform/app",
        **oauth,
    }
    given = ", ".join(f"{name}: {value}" for name, value in options.items() if value)
    return f"""
        version: 1
        secrets:
          vault: {{address: "{bao.address}", auth: {{token: "${{VAULT_TOKEN}}"}}, timeout: 0.5s}}
        plugins: [{{use: "tests.functional.test_plugins_access:Unsigned", as: tokens}}]
        services:
          mail:
            upstream: "{api.url}"
            plugins:
              - credentials:
                  secret: "tenants/${{principal.tenant}}/mail"
                  oauth: {{{given}}}
                  {more}
    """


def connected(bao: Bao, issuer: TokenServer, tenant: str, **more: str) -> None:
    """Keep what a tenant has just connected, as a portal does: no token yet, and fields of its own."""
    fields = {"refresh_token": issuer.connect(tenant), "account": f"{tenant}@example", **more}
    bao.put(f"tenants/{tenant}/mail", **fields)


def kept(bao: Bao, tenant: str) -> dict[str, str]:
    """Return what the store has of a tenant."""
    fields: dict[str, str] = bao.read(f"secret/data/tenants/{tenant}/mail")["data"]
    return fields


async def ask(running: Gateway, tenant: str) -> Reply:
    return await running.get("/api/brain/mail/x", bearer(tenant=tenant))
