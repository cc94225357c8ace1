"""Requests and answers without sockets, of the same classes that a gateway makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from time import perf_counter
from types import SimpleNamespace
from typing import Any, cast

from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from proxy import paths
from proxy.headers import Field, encode
from proxy.plugin.answer import Answer
from proxy.plugin.base import Plugin
from proxy.plugin.claims import principal_of
from proxy.plugin.exchange import Client, Exchange
from proxy.plugin.outgoing import Outgoing
from proxy.plugin.principal import Principal
from proxy.runtime.fields import RequestRules
from proxy.runtime.withheld import Withheld
from proxy.server.request import Request

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Body = bytes | Iterable[bytes]

PREFIX = "/api/brain/test"
"""Where the route of a test stands: a path that begins with it loses it on the way."""

HOPS = 10


class TestRoute:
    """The route of a test. `{name}` of a path is what `values` says."""

    __test__ = False
    rewrite = None
    destination = "http://127.0.0.1:1"

    @property
    def destinations(self) -> tuple[str, ...]:
        """The one destination."""
        return (self.destination,)

    def towards(self, request: object) -> TestRoute:
        """Return the route itself: it has no other way."""
        return self

    def __init__(
        self,
        name: str = "test",
        service: str | None = "test",
        *,
        forward_token: bool = False,
        values: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.service = service
        self.forward_token = forward_token
        self.asks: tuple[str, ...] = ()
        self._values = dict(values or {})

    def path_value(self, name: str, path: str) -> str | None:
        """Return what a test said that `{name}` stands for."""
        return self._values.get(name)


class _Upload:
    """A client's body that comes in pieces; `length` is None, as of a chunked one."""

    def __init__(self, pieces: Iterable[bytes], length: int | None) -> None:
        self._pieces = list(pieces)
        self.length = length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class _Download:
    """An upstream's body that comes in pieces."""

    def __init__(self, pieces: Iterable[bytes] | AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._pieces, AsyncIterator):
            async for piece in self._pieces:
                yield piece
            return
        for piece in self._pieces:
            yield piece

    def close(self) -> None:
        self.closed = True


def request_of(
    method: str,
    target: str,
    *,
    headers: Headers = (),
    body: Body | None = None,
    client: Client,
    route: TestRoute,
    plugin: Plugin | None = None,
) -> Request:
    """Return a request with its exchange, as a plugin finds it in a chain.

    What `plugin` protects is not sent on, as in a gateway.
    """
    fields = _fields(headers)
    whole = body if isinstance(body, bytes) else None
    if whole is not None and not any(name.lower() == "content-length" for name, _ in fields):
        fields.append(("Content-Length", str(len(whole))))
    if not any(name.lower() == "host" for name, _ in fields):
        fields.insert(0, ("Host", client.host))
    connection = SimpleNamespace(address=client.address, scheme=client.scheme, sockname=None)
    request = Request(_message(method, target, fields), EMPTY_PAYLOAD, cast("Any", connection))
    request.uploads = body is not None
    raw_path, query = paths.split_target(target)
    withheld = Withheld(() if plugin is None or route.forward_token else (plugin,))
    protects = () if plugin is None else plugin.protects
    kept, _ = RequestRules(protects, HOPS, withheld).judge(request, None)
    query = withheld.without(query)
    inside = raw_path == PREFIX or raw_path.startswith(f"{PREFIX}/")
    sent = (raw_path.removeprefix(PREFIX) or "/") if inside else raw_path
    outgoing = Outgoing(method, sent + query, kept)
    prefix = PREFIX if inside else ""
    path = paths.canonical(raw_path)
    request.attach(Exchange(route, client, outgoing, method, path, perf_counter(), prefix))
    request.route = route
    if body is not None:
        pieces = [body] if isinstance(body, bytes) else body
        outgoing.carry(_Upload(pieces, None if whole is None else len(whole)))
    return request


def _message(method: str, target: str, fields: Iterable[tuple[str, str]]) -> RawRequestMessage:
    raw = tuple((encode(name), encode(value)) for name, value in fields)
    headers = CIMultiDictProxy(CIMultiDict(fields))
    url = URL(target, encoded=True)
    return RawRequestMessage(
        method, target, HttpVersion11, headers, raw, False, None, False, False, url
    )


def _fields(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def upstream_answer(
    status: int = 200,
    *,
    headers: Headers = (),
    body: bytes | Iterable[bytes] | AsyncIterator[bytes] = b"",
    reason: str = "",
) -> Answer:
    """Return an answer as it comes from an upstream: raw fields, and a body that streams.

    A `body` in pieces has no Content-Length. As everywhere, bytes are read before they are decoded.
    """
    raw: list[Field] = [(encode(name), encode(value)) for name, value in _fields(headers)]
    named = {name.lower() for name, _ in raw}
    if isinstance(body, bytes):
        if b"content-length" not in named:
            raw.append((b"Content-Length", b"%d" % len(body)))
        return Answer.from_upstream(status, reason, raw, body, framed=True)
    return Answer.from_upstream(status, reason, raw, _Download(body), framed=False)


def principal(claims: Mapping[str, Any]) -> Principal:
    """Return the principal that claims mean; who has no `sub` is called "somebody"."""
    return principal_of({"sub": "somebody", **claims}, by="test")
