"""Asking one target: one request after the other, over one connection at a time, and not many."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter

from proxy.config.masking import without_credentials
from proxy.config.models import Limits, Timeouts
from proxy.doctoring.findings import Evidence
from proxy.errors import GatewayError
from proxy.forwarded import forwarded_lines
from proxy.headers import LOWER, decode, encode, tokens
from proxy.plugin.exchange import Attempt
from proxy.text import printable
from proxy.upstream.connection import Connection
from proxy.upstream.head import Head, HeadBounds
from proxy.upstream.target import Target

AGENT = "brain-doctor"
PATIENCE = 10.0
"""Seconds for one answer, where the route's own timer is not shorter."""

MOST_REQUESTS = 60
"""To one target. What asks for more has met a target that answers otherwise each time."""

MOST_BODY = 64 * 1024
"""Bytes of a body that are looked at; the connection is closed over the rest."""

_SHOWN = 100
"""Characters of a target or a field in what is told."""

_HERE = "127.0.0.1"


class Enough(Exception):
    """This target has been asked as often as it may be."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `scheme` is by what the client is said to have come, None for nothing said.

    `host` None is the one that holds for all requests to the target. `fresh` asks on a connection of
    its own, so that whoever closes it means this request.
    """

    target: str
    method: str = "GET"
    host: str | None = None
    scheme: str | None = "https"
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: names of fields in lower case, the first `MOST_BODY` bytes of its body.

    `seconds` is from the first byte sent to the head. `why_closing` says by what the target gives up
    the connection behind this answer, None where it keeps it.
    """

    evidence: Evidence
    status: int
    fields: tuple[tuple[str, str], ...]
    body: str
    seconds: float
    why_closing: str | None

    def all(self, name: str) -> list[str]:
        """Return the values of a field."""
        return [value for key, value in self.fields if key == name]

    @property
    def location(self) -> str | None:
        """Where a redirect leads, None for another answer."""
        found = self.all("location")
        return found[0] if found and self.status in (301, 302, 303, 307, 308) else None


@dataclass(frozen=True, slots=True)
class Manner:
    """How a target is asked: what the gateway would say, and how long it would wait."""

    timeouts: Timeouts
    limits: Limits
    public_host: str | None = None
    prefix: str = ""


class Asker:
    """Asks one target. `host` is the `Host` of requests that name none; `asked` counts them all."""

    def __init__(self, target: Target, manner: Manner, host: str) -> None:
        self.host = host
        self.asked = 0
        self.attempt = Attempt(target.label)
        self.connection: Connection | None = None
        self._target = target
        self._manner = manner
        self._patience = min(PATIENCE, manner.timeouts.response)

    async def ask(self, ask: Ask) -> Reply:
        """Return the answer. Raises GatewayError where there is none, Enough after too many."""
        if self.asked >= MOST_REQUESTS:
            raise Enough
        self.asked += 1
        reused = not ask.fresh and self._reusable()
        try:
            return await self._ask(ask)
        except GatewayError as error:
            # It may have closed the idle connection as the request went out: that says nothing of it.
            if not reused or error.code != "upstream_reset_before_headers":
                raise
        return await self._ask(ask)

    def _reusable(self) -> bool:
        return self.connection is not None and self.connection.reusable

    async def _ask(self, ask: Ask) -> Reply:
        if ask.fresh or not self._reusable():
            await self.connect()
        connection = self.connection
        assert connection is not None
        limits = self._manner.limits
        bounds = HeadBounds(limits.response_field, limits.response_head, limits.response_fields)
        started = perf_counter()
        connection.begin(ask.method, bounds, None)
        connection.body_timeout(self._patience, "upstream_body_timeout")
        connection.write(self._written(ask))
        connection.expire_in(self._patience, "upstream_response_timeout")
        head = await connection.head()
        seconds = perf_counter() - started
        body = await self._body(connection, head)
        return _reply(self.shown(ask), head, body, seconds, connection)

    async def connect(self) -> None:
        """Open a new connection in place of the old one. Raises GatewayError."""
        self.close()
        self.attempt = Attempt(self._target.label)
        started = perf_counter()
        self.connection = await self._target.connect(self._manner.timeouts, self.attempt, started)

    def close(self) -> None:
        """Close what is open."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    async def _body(self, connection: Connection, head: Head) -> bytes:
        """Return the begin of the body: a stream without end, or a broken one, has one too."""
        body = b""
        if not head.has_body:
            return body
        try:
            async with asyncio.timeout(self._patience):
                async for chunk in connection:
                    body += chunk
                    if len(body) >= MOST_BODY:
                        break
        except (TimeoutError, GatewayError):
            pass
        return body[:MOST_BODY]

    def _written(self, ask: Ask) -> bytes:
        lines = [
            f"{ask.method} {ask.target} HTTP/1.1",
            f"Host: {ask.host or self.host}",
            f"User-Agent: {AGENT}",
            "Accept: */*",
            *(f"{name}: {value}" for name, value in ask.fields),
        ]
        if ask.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(ask.body)}"]
        head = encode("\r\n".join(lines) + "\r\n")
        return head + self._forwarded(ask) + b"\r\n" + (ask.body or b"")

    def _forwarded(self, ask: Ask) -> bytes:
        if ask.scheme is None:
            return b""
        host, prefix = self._manner.public_host or "", self._manner.prefix
        return forwarded_lines(_HERE, _HERE, ask.scheme, host, prefix)

    def shown(self, ask: Ask) -> str:
        """Return a request in a line, long parts cut, without what is the same in all."""
        said = [f"Host: {ask.host or self.host}"]
        if ask.scheme is not None:
            said.append(f"X-Forwarded-Proto: {ask.scheme}")
            if self._manner.public_host:
                said.append(f"X-Forwarded-Host: {self._manner.public_host}")
        said += [_cut(f"{name}: {value}") for name, value in ask.fields[:2]]
        more = [f"and {len(ask.fields) - 2} more"] if len(ask.fields) > 2 else []
        return f"{ask.method} {_cut(ask.target)} ({', '.join([*said, *more])})"


def _cut(text: str) -> str:
    if len(text) <= _SHOWN:
        return printable(text)
    return f"{printable(text[:40])}… ({len(text)} bytes)"


def _reply(sent: str, head: Head, body: bytes, seconds: float, connection: Connection) -> Reply:
    fields = tuple((decode(name).lower(), decode(value)) for name, value in head.fields)
    closing = None if connection.keep else _why_closing(head)
    location = next((value for name, value in fields if name == "location"), None)
    to = "" if location is None else f" to {_cut(without_credentials(location))}"
    came = f"{head.status}{to} in {milliseconds(seconds)}"
    text = body.decode("utf-8", "replace")
    return Reply(Evidence(sent, came), head.status, fields, text, seconds, closing)


def _why_closing(head: Head) -> str:
    named = tokens(value for name, value in head.fields if LOWER[name] == b"connection")
    if b"close" in named:
        return "it answers 'Connection: close'"
    if not head.delimited:
        return "only the end of the connection ends its answer"
    return "it speaks HTTP/1.0, or closes behind its answer without a word"


def milliseconds(seconds: float) -> str:
    """Return `3 ms`, or `2.0 s` from a second on."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(1, round(seconds * 1000))} ms"
