"""What an answer of the service means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from plugins.forward_auth.question import SessionCookies
from proxy import Principal, Unavailable

AWAY = "auth_unavailable"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REFUSALS = frozenset({401, 403})
_RELAYED = ("Location", "WWW-Authenticate", "Content-Type", "Content-Language")
_LISTS = ("roles", "scopes")


@dataclass(frozen=True, slots=True)
class Known:
    """The service knows the caller. `copied` are headers for the upstream, `cookies` for the client.

    `ambient` is the same principal where browsers send the credential by themselves.
    """

    principal: Principal
    ambient: Principal
    copied: tuple[tuple[str, str], ...]
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The service lets the caller not in, and says so itself: 401, 403 or a redirect."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    @property
    def redirects(self) -> bool:
        """Whether it sends the caller elsewhere, such as to a login."""
        return self.status in _REDIRECTS


Verdict = Known | Refused


@dataclass(frozen=True, slots=True)
class Claim:
    """Where a claim stands. `separator` is None for one text."""

    name: str
    header: str
    separator: str | None

    def read(self, headers: CIMultiDictProxy[str]) -> str | list[str] | None:
        """Return what the answer says, None for nothing. Raises ValueError for two texts."""
        values = headers.getall(self.header, [])
        if self.separator is not None:
            parts = (part.strip() for value in values for part in value.split(self.separator))
            return [part for part in parts if part]
        if len(values) > 1:
            raise ValueError(f"{self.header} is there twice")
        return values[0].strip() if values else None


def claims_of(options: Mapping[str, Any]) -> list[Claim]:
    """Return the claims of the option `claims`."""
    return [
        Claim(name, given["header"], given["separator"])
        if isinstance(given, Mapping)
        else Claim(name, given, "," if name in _LISTS else None)
        for name, given in options.items()
    ]


class Reader:
    """Reads the answers of one service. `by` is the authenticator's identity."""

    def __init__(
        self,
        claims: Sequence[Claim],
        copied: Sequence[str],
        session: SessionCookies,
        by: str,
    ) -> None:
        self._claims = claims
        self._copied = copied
        self._session = session
        self._by = by

    def read(self, status: int, headers: CIMultiDictProxy[str], body: bytes) -> Verdict:
        """Return the verdict. Raises Unavailable for what is none."""
        if 200 <= status <= 299:
            return self._known(headers)
        if status in _REFUSALS or (status in _REDIRECTS and headers.get("Location")):
            return self._refused(status, headers, body)
        raise Unavailable(f"the service answered {status}", code=AWAY)

    def _known(self, headers: CIMultiDictProxy[str]) -> Known:
        try:
            found = {claim.name: claim.read(headers) for claim in self._claims}
        except ValueError as error:
            raise Unavailable(f"of the service's answer, {error}", code=AWAY) from None
        claims = {name: value for name, value in found.items() if value}
        subject = claims.get("subject")
        if not isinstance(subject, str):
            # Such as of paths that the service leaves open: here they are public routes.
            raise Unavailable("the service let in a caller without a name", code=AWAY)
        principal = Principal(
            subject=subject,
            tenant=_text(claims.get("tenant")),
            scopes=frozenset(claims.get("scopes", ())),
            roles=frozenset(claims.get("roles", ())),
            claims=MappingProxyType(claims),
            by=self._by,
        )
        copied, cookies = tuple(self._copies(headers)), self._cookies(headers)
        return Known(principal, replace(principal, ambient=True), copied, cookies)

    def _copies(self, headers: CIMultiDictProxy[str]) -> Iterator[tuple[str, str]]:
        for name in self._copied:
            for value in headers.getall(name, ()):
                yield name, value

    def _cookies(self, headers: CIMultiDictProxy[str]) -> tuple[str, ...]:
        return self._session.set_by(headers.getall("Set-Cookie", ()))

    def _refused(self, status: int, headers: CIMultiDictProxy[str], body: bytes) -> Refused:
        relayed = CIMultiDict[str]()
        for name in _RELAYED:
            for value in headers.getall(name, ()):
                relayed.add(name, value)
        for line in self._cookies(headers):
            relayed.add("Set-Cookie", line)
        return Refused(status, relayed, body)


def _text(value: str | list[str] | None) -> str | None:
    return value if isinstance(value, str) else None
