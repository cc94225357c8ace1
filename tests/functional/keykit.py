"""An issuer that misbehaves on command: its configuration and its keys as raw bytes over raw sockets.

It plays the provider as far as a gateway sees one: `…/.well-known/openid-configuration` and the JWKS
below its path. Nothing of OpenID Connect else is here; for that there is oidckit.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any

from aiohttp.test_utils import unused_port
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.plugins.tokens import Key, signed

Writer = asyncio.StreamWriter
Answer = bytes | Callable[[Writer], Awaitable[None]]
"""Bytes that are sent, or what plays with the connection; it is closed afterwards."""

CONFIGURATION = ".well-known/openid-configuration"
JWKS = "jwks/"


class KeyServer:
    """An issuer on a port of its own, which it keeps while it is down.

    `keys` is what it publishes, `answers` replaces what it says by "configuration" or "jwks", `asked`
    has the path of every request in order.
    """

    def __init__(self, *keys: Key, path: str = "/application/o/brain/") -> None:
        self.port = unused_port()
        self.path = path
        self.issuer = f"http://127.0.0.1:{self.port}{path}"
        self.keys: list[Key] = list(keys)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def jwks_uri(self) -> str:
        return self.issuer + JWKS

    @property
    def fetches(self) -> int:
        """How often its keys were asked for."""
        return self.asked.count(self.path + JWKS)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Go down: connections are refused from now on, those that are open break."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # closed transports say so in the loop's next turns

    def mint(
        self, key: Key | None = None, header: dict[str, Any] | None = None, **more: Any
    ) -> str:
        """Return a token of its own for a caller of tenant acme; None removes a claim."""
        key = key or self.keys[0]
        now = int(time.time())
        good = {"iss": self.issuer, "aud": "brain", "sub": "ada", "iat": now, "exp": now + 300}
        claims = {k: v for k, v in {**good, "tenant_id": "acme", **more}.items() if v is not None}
        whole = {"alg": algorithm_of(key), "kid": key.kid, "typ": "JWT", **(header or {})}
        return signed(
            {k: v for k, v in whole.items() if v is not None}, json.dumps(claims).encode(), key
        )

    # -- what it says

    def _connected(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ")[1].decode("latin-1")
                self.asked.append(path)
                answer = self._answer(path)
                if callable(answer):
                    await answer(writer)
                else:
                    writer.write(answer)
                    await writer.drain()
        finally:
            writer.close()

    def _answer(self, path: str) -> Answer:
        if path == self.path + CONFIGURATION:
            told = json.dumps({"issuer": self.issuer, "jwks_uri": self.jwks_uri})
            return self.answers.get("configuration", ok(told))
        if path == self.path + JWKS:
            return self.answers.get("jwks", ok(jwks(self.keys)))
        return said("404 Not Found")


# -- keys


@cache
def rsa(name: str, bits: int = 2048) -> RSAKey:
    """Return a key of its own for each name; they take long to make."""
    return RSAKey.generate_key(bits, {"kid": name, "use": "sig", "alg": "RS256"})


@cache
def ec(name: str, curve: str = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": name, "use": "sig"})


@cache
def ed25519(name: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": name, "use": "sig"})


def algorithm_of(key: Key) -> str:
    """Return the algorithm by which a key signs unless a token's header says otherwise."""
    kinds = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
    return kinds.get(str(key.as_dict(private=False).get("crv")), "RS256")


def jwks(keys: Sequence[Key], *more: Any, **members: Any) -> str:
    """Return a JWKS of public keys; `more` are further entries, `members` stand in every key."""
    public = [{**key.as_dict(private=False), **members} for key in keys]
    return json.dumps({"keys": [*public, *more]})


# -- answers


def said(status: str, body: str | bytes = b"", *headers: str) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def ok(body: str | bytes, kind: str = "application/json") -> bytes:
    return said("200 OK", body, f"Content-Type: {kind}")


def zipped(size: int) -> bytes:
    """Return `size` bytes of spaces as some thousandths of them."""
    return said("200 OK", gzip.compress(b" " * size), "Content-Encoding: gzip")


async def hang(_: Writer) -> None:
    """Take the question and say nothing, for ever."""
    await asyncio.Event().wait()


def slowly(answer: bytes, seconds: float) -> Answer:
    """Send the answer after a while."""

    async def play(writer: Writer) -> None:
        await asyncio.sleep(seconds)
        writer.write(answer)
        await writer.drain()

    return play


async def drip(writer: Writer) -> None:
    """Begin an answer that never ends, a byte at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(writer: Writer) -> None:
    """Send an answer without an end as fast as it is read."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(b" " * 65536)
        await writer.drain()
