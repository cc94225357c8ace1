"""What the service is asked about a request, and what of that one verdict may stand for."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import quote

from aiohttp import web
from multidict import CIMultiDict

from proxy import EXCHANGE, Unauthenticated

_SPICE = os.urandom(32)
"""Verdicts are found by a keyed digest: no session stands in the memory that holds them."""


class SessionCookies(Container[str]):
    """Names of cookies; one that ends in an asterisk stands for all that begin so."""

    def __init__(self, names: Iterable[str]) -> None:
        listed = frozenset(names)
        self._exact = frozenset(name for name in listed if not name.endswith("*"))
        self._begins = tuple(name[:-1] for name in listed - self._exact)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._exact or name.startswith(self._begins))

    def of(self, lines: Iterable[str]) -> str:
        """Return those of `Cookie` lines as one line, in their order (RFC 6265, 5.4)."""
        pairs = (pair.strip() for line in lines for pair in line.split(";"))
        return "; ".join(pair for pair in pairs if pair.partition("=")[0].rstrip() in self)

    def set_by(self, lines: Iterable[str]) -> tuple[str, ...]:
        """Return those of `Set-Cookie` lines."""
        return tuple(line for line in lines if line.partition("=")[0].strip() in self)


@dataclass(frozen=True, slots=True)
class Credential:
    """What of a request may be known to the service; all empty where a stranger asks."""

    cookies: str = ""
    scheme: str = ""
    authorization: str = ""

    @property
    def ambient(self) -> bool:
        """Whether browsers send it by themselves: cookies, and what they have asked a user for."""
        return bool(self.cookies) or self.scheme != "bearer"


STRANGER = Credential()


class Finder:
    """Finds the credentials of one service in requests."""

    def __init__(self, session: SessionCookies, schemes: Iterable[str]) -> None:
        self._session = session
        self._schemes = frozenset(scheme.lower() for scheme in schemes)

    def find(self, request: web.BaseRequest) -> Credential | None:
        """Return the credential, None where there is none. Raises Unauthenticated for an unfit one."""
        headers = request.headers
        cookies = self._session.of(headers.getall("Cookie", ()))
        given = headers.getall("Authorization", ())
        scheme = given[0].partition(" ")[0].lower() if given else ""
        if scheme not in self._schemes:
            scheme, given = "", ()
        if not cookies and not given:
            return None
        found = Credential(cookies, scheme, given[0] if given else "")
        if len(given) > 1 or not _is_sendable(found.cookies + found.authorization):
            raise Unauthenticated(log="a credential that can't be sent to the service")
        return found


def _is_sendable(value: str) -> bool:
    """Tell whether a value is text: what was no UTF-8 was read as surrogates."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


class Question:
    """One request as the service is asked about it."""

    __slots__ = ("_credential", "_listed", "_request")

    def __init__(
        self, request: web.BaseRequest, credential: Credential, listed: Sequence[str]
    ) -> None:
        self._request = request
        self._credential = credential
        self._listed = listed

    def key(self, *, per_path: bool) -> bytes:
        """Return what tells apart requests that may be judged differently."""
        digest = blake2b(digest_size=32, key=_SPICE)
        for part in self._parts(per_path=per_path):
            # Each with its length before it: no two lists of parts look alike.
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(raw), raw))
        return digest.digest()

    def _parts(self, *, per_path: bool) -> Iterator[str]:
        client = self._request[EXCHANGE].client
        yield self._credential.cookies
        yield self._credential.authorization
        yield from (client.scheme, client.host, client.address)
        for name, value in self._further():
            yield name
            yield value
        if per_path:
            yield self._method()
            yield self._target()

    def headers(self) -> CIMultiDict[str]:
        """Return the headers of the GET: what outposts, oauth2-proxy, Traefik's and nginx's know."""
        exchange = self._request[EXCHANGE]
        client, method, target = exchange.client, self._method(), self._target()
        headers = CIMultiDict(
            {
                "X-Forwarded-Method": method,
                "X-Forwarded-Proto": client.scheme,
                "X-Forwarded-Host": client.host,
                "X-Forwarded-Uri": target,
                "X-Forwarded-For": client.address,
                "X-Real-IP": client.address,
                "X-Original-Method": method,
                "X-Original-URL": f"{client.scheme}://{client.host}{target}",
            }
        )
        if exchange.request_id:
            headers["X-Request-Id"] = exchange.request_id
        if self._credential.cookies:
            headers["Cookie"] = self._credential.cookies
        if self._credential.authorization:
            headers["Authorization"] = self._credential.authorization
        for name, value in self._further():
            headers.add(name, value)
        return headers

    def _further(self) -> Iterator[tuple[str, str]]:
        for name in self._listed:
            for value in self._request.headers.getall(name, ()):
                if _is_sendable(value):
                    yield name, value

    def _method(self) -> str:
        """Return the method of what is asked for: whoever buys a ticket asks for a GET."""
        return self._request.method if self._request[EXCHANGE].asked_for is None else "GET"

    def _target(self) -> str:
        """Return path and query as the client sent them, less what is another's credential.

        Of whoever buys a ticket it is the path that the ticket will be good for.
        """
        raw, exchange = self._request.raw_path, self._request[EXCHANGE]
        if exchange.asked_for is not None:
            path, query = exchange.asked_for[1], ""
        else:
            path = raw.partition("?")[0] if raw.startswith("/") else self._request.rel_url.raw_path
            query = exchange.outgoing.query
        target = f"{path}?{query}" if query else path
        return target if target.isascii() else quote(target, _KEPT, errors="surrogateescape")


_KEPT = "!#$%&'()*+,/:;=?@[]~\"<>\\^`{|}"
"""What is no byte above 0x7F stays as it was sent."""
