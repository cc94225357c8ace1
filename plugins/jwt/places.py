"""Where a request may hold a token."""

from __future__ import annotations

from aiohttp import hdrs, web

from plugins.jwt.parts import invalid

SUBPROTOCOL = "brain.bearer"
_PROTOCOLS = "Sec-WebSocket-Protocol"


def in_header(request: web.BaseRequest) -> str | None:
    """Return the token of `Authorization: Bearer` (RFC 6750, 2.1), None where there is no Bearer.

    Raises Unauthenticated for several lines of which one is Bearer.
    """
    given = request.headers.getall(hdrs.AUTHORIZATION, ())
    if len(given) == 1 and given[0][:7].lower() == "bearer ":
        return str(given[0][7:].strip(" "))
    bearers = [
        one for one in given if one.split(None, 1)[:1] and one.split()[0].lower() == "bearer"
    ]
    if bearers:
        raise invalid("several credentials, or none, stand in Authorization")
    return None


def in_subprotocol(request: web.BaseRequest) -> str | None:
    """Return the token that a browser put behind the first subprotocol that it offers."""
    if hdrs.UPGRADE not in request.headers:
        return None
    offered = ",".join(request.headers.getall(_PROTOCOLS, ()))
    names = [name.strip() for name in offered.split(",")]
    return names[1] if len(names) > 1 and names[0] == SUBPROTOCOL else None
