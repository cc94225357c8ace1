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


def in_cookie(request: web.BaseRequest, name: str) -> str | None:
    """Return the token in a cookie, None where there is no such cookie.

    Raises Unauthenticated for several of that name (RFC 6265, 8.6): a page of a neighbouring host can
    set one for this host too, and would choose as whom its visitor acts.
    """
    found = list[str]()
    for line in request.headers.getall(hdrs.COOKIE, ()):
        for pair in line.split(";"):
            key, equals, value = pair.partition("=")
            if equals and key.strip() == name:
                found.append(value.strip().strip('"'))
    if len(found) > 1:
        raise invalid("several cookies have its name")
    return found[0] if found else None
