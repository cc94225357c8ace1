"""The callers' credentials that reach no upstream: where the authenticators of a file find them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from urllib.parse import unquote_plus

from proxy.headers import Field, encode
from proxy.plugin.base import Authenticator, Plugin

SUBPROTOCOL = b"brain.bearer"
"""The subprotocol behind which a browser puts a token: WebSocket knows no headers of its own."""

LONGEST_SCHEME = 32
"""Bytes of an `Authorization` that are looked at: a token behind it need not be copied."""


class Withheld:
    """Schemes of `Authorization`, cookies and query parameters that belong to authenticators.

    They are withheld on every route, whoever is asked there, unless it says `forward_token: true`: a
    caller's token for one route must not reach the upstream of another.
    """

    def __init__(self, plugins: Iterable[Plugin] = ()) -> None:
        asked = [plugin for plugin in plugins if isinstance(plugin, Authenticator)]
        cookies = {name for plugin in asked for name in plugin.protects_cookies}
        self.schemes = frozenset(encode(s.lower()) for one in asked for s in one.protects_schemes)
        self.query = frozenset(name for plugin in asked for name in plugin.protects_query)
        self.cookies = CookieNames(cookies)

    def holds(self, authorization: bytes) -> bool:
        """Tell whether an `Authorization` value is a credential of an authenticator's scheme."""
        scheme = authorization[:LONGEST_SCHEME].split(None, 1)[:1]
        return bool(scheme) and scheme[0].lower() in self.schemes

    def without(self, query: str) -> str:
        """Return a query with its question mark less what belongs to authenticators, byte for byte."""
        parts = query[1:].split("&")
        kept = [part for part in parts if unquote_plus(part.partition("=")[0]) not in self.query]
        if len(kept) == len(parts):
            return query
        return "?" + "&".join(kept) if kept else ""


class CookieNames(Container[str]):
    """Names of cookies; one that ends in `*` stands for all that begin so."""

    def __init__(self, names: Iterable[str]) -> None:
        listed = frozenset(names)
        self._exact = frozenset(name for name in listed if not name.endswith("*"))
        self._begins = tuple(name[:-1] for name in listed - self._exact)

    def __bool__(self) -> bool:
        return bool(self._exact or self._begins)

    def __contains__(self, name: object) -> bool:
        return name in self._exact or (
            bool(self._begins) and isinstance(name, str) and name.startswith(self._begins)
        )


def without_token(offered: Sequence[Field]) -> list[Field] | None:
    """Return the `Sec-WebSocket-Protocol` fields without a token, None where there is no token.

    It stands behind `brain.bearer` (RFC 6455, 4.1: what is offered is a list of tokens). Misplaced or
    misspelt it lets nobody in, and still goes no further.
    """
    names = [name for _, value in offered for part in value.split(b",") if (name := part.strip())]
    lower = [name.lower() for name in names]
    if SUBPROTOCOL not in lower:
        return None
    # Also where there are several: none of them is the upstream's.
    behind = [SUBPROTOCOL in pair for pair in zip([b"", *lower], lower, strict=False)]
    own = b", ".join(name for name, token in zip(names, behind, strict=True) if not token)
    return [(offered[0][0], own)] if own else []
