"""What is refused before routing, beside what the parser refuses itself (semantics.md, row 7).

aiohttp's parser lets these pass: Transfer-Encoding on HTTP/1.0, `gzip, chunked`, odd Hosts,
upgrades other than a WebSocket's GET. Each would let two readers see two messages, or two
authorities.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from aiohttp import http_exceptions as parse_errors
from aiohttp.http import HttpVersion10, HttpVersion11

from proxy.errors import GatewayError

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage

# A name, IPv4 or bracketed IPv6, with an optional port; no user information (RFC 9110, 7.2). Of
# what RFC 3986 grants a registered name, only what names are made of: the rest ends up in lists,
# quoted strings and URLs that upstreams build of it.
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,255}|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{1,5}))?")
_LAST_PORT = 65535

_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})


def check(message: RawRequestMessage) -> None:
    """Raise GatewayError for a request that must not go further.

    What the parser flags is looked at only where it is flagged; `Host` is looked at always.
    """
    version = message.version
    if version is not HttpVersion11 and version is not HttpVersion10:
        raise GatewayError("version_refused")
    if message.method in _REFUSED_METHODS:
        raise GatewayError("method_refused", headers={"Allow": ALLOW})
    if message.chunked:
        _check_coding(message)
    host = message.headers.get("Host")
    if host is None:
        if version is HttpVersion11:
            raise GatewayError("bad_host")
    elif not is_host(host):
        raise GatewayError("bad_host")
    if message.upgrade:
        _check_upgrade(message)


def check_expectation(message: RawRequestMessage) -> None:
    """Raise GatewayError for an `Expect` that is not the one that RFC 9110, 10.1.1 knows."""
    if message.headers.get("Expect", "100-continue").lower() != "100-continue":
        raise GatewayError("expectation_failed")


ALLOW = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@lru_cache(maxsize=1024)
def is_host(host: str) -> bool:
    """Tell whether `host` is one authority without user information."""
    found = _HOST.fullmatch(host)
    if found is None or int(found[2] or 0) > _LAST_PORT:
        return False
    return found[1] is None or _is_ipv6(found[1])


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _check_coding(message: RawRequestMessage) -> None:
    codings = message.headers.getall("Transfer-Encoding")
    if message.version == HttpVersion10 or [c.strip().lower() for c in codings] != ["chunked"]:
        raise GatewayError("bad_framing")


def _check_upgrade(message: RawRequestMessage) -> None:
    """Only a WebSocket's handshake may switch protocols (RFC 6455, 4.1)."""
    headers = message.headers
    websocket = headers.get("Upgrade", "").lower() == "websocket"
    bodiless = headers.get("Content-Length", "0") == "0" and not message.chunked
    if not websocket or message.method != "GET" or message.version != HttpVersion11 or not bodiless:
        raise GatewayError("upgrade_refused")


def from_parser(error: BaseException, line_limit: int) -> GatewayError:
    """Translate what aiohttp's parser raised. The offending bytes are neither echoed nor logged."""
    if isinstance(error, parse_errors.LineTooLong):
        code = "uri_too_long" if error.args[1] == line_limit else "head_too_large"
        return GatewayError(code)
    message = str(getattr(error, "message", ""))
    if message.startswith("Too many headers"):
        return GatewayError("head_too_large")
    return GatewayError("bad_request", log=type(error).__name__)
