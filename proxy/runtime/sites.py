"""Whether a page of another site may be behind a request (cross-site request forgery)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import GatewayError
from proxy.text import printable

if TYPE_CHECKING:
    from proxy.server.request import Request

LONGEST_ORIGIN = 200
"""Characters of an origin that the log shows."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that ask for nothing to be done (RFC 9110, 9.2.1)."""


def check_site(request: Request) -> None:
    """Raise GatewayError `csrf_refused` where another site's page may be acting with the credential.

    For a credential that browsers send by themselves. A safe method does nothing that the page could
    want and its answer is not readable there; an upgrade asks by GET, and is readable.
    """
    if request.method in SAFE and not request.upgrading:
        return
    if not (request.exchange.origin_trusted or _same_origin(request)):
        origin = request.headers.get("Origin")
        raise GatewayError(
            "csrf_refused",
            log="it says no Origin"
            if origin is None
            else f"'cors' does not list the origin '{printable(origin, LONGEST_ORIGIN)}'",
        )


def _same_origin(request: Request) -> bool:
    """Tell what the browser says of the page: by Sec-Fetch-Site, or by an Origin that is our own.

    A page can set neither (Fetch, "forbidden request-header").
    """
    headers = request.headers
    if headers.get("Sec-Fetch-Site") == "same-origin":
        return True
    client = request.exchange.client
    return headers.get("Origin") == f"{client.scheme}://{client.host}".lower()
