"""A service that says who calls, as an Authentik outpost does behind Traefik, on raw sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.functional.kit import RawUpstream, Seen, _body

LOGIN = "https://brain.example.com/outpost.goauthentik.io/start?rd=%2Fasked"
COOKIE = "authentik_proxy_abc"

Answering = Callable[[Seen], bytes | Awaitable[bytes]]


def said(status: str, *headers: str, body: bytes = b"") -> bytes:
    """Return an answer's bytes."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def known(name: str, *headers: str, groups: str = "Staff|Nurses", status: str = "200 OK") -> bytes:
    """Return the answer that lets `name` in."""
    return said(
        status,
        f"X-authentik-username: {name}",
        f"X-authentik-groups: {groups}",
        f"X-authentik-email: {name}@example.com",
        "X-authentik-jwt: not-for-upstreams",
        *headers,
    )


class AuthService(RawUpstream):
    """Knows the sessions in `people` and sends all others to the login.

    `answering` says otherwise, `hold` makes it wait, `seen` has what it was asked.
    """

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.people = {f"{COOKIE}=kim-session": "kim", f"{COOKIE}=lee-session": "lee"}
        self.answering: Answering = self.judge
        self.hold: asyncio.Event | None = None
        self.seen: list[Seen] = []

    def judge(self, seen: Seen) -> bytes:
        name = self.people.get(seen.header("Cookie") or seen.header("Authorization") or "")
        if name is not None:
            return known(name)
        return said(
            "302 Found", f"Location: {LOGIN}", f"Set-Cookie: {COOKIE}=state; HttpOnly", body=b"go"
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            raw = await reader.readuntil(b"\r\n\r\n")
            first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
            fields = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]
            seen = Seen(first, raw, fields, b"")
            seen.body = await _body(reader, seen)
            self.seen.append(seen)
            if self.hold is not None:
                await self.hold.wait()
            given = self.answering(seen)
            writer.write(given if isinstance(given, bytes) else await given)
            await writer.drain()

    @property
    def last(self) -> Seen:
        return self.seen[-1]
