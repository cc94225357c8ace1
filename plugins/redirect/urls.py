"""What the client asked for, as it may stand in a `Location` (RFC 9110, 10.2.2)."""

from __future__ import annotations

import re
from urllib.parse import quote

from aiohttp import web

from proxy import Client

_URI = "%/?:@!$&'()*+,;=~[]"
"""Beside letters, digits, dot, hyphen and underscore: what stays as it is (RFC 3986, 2.2). A
fragment is none of the client's to choose."""

_PREFIX = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)+")
_PORT = re.compile(r":[0-9]+$")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def asked(request: web.BaseRequest) -> tuple[str, str]:
    """Return the raw path and the rest: "" or the query with its question mark.

    Of a target in absolute form (RFC 9112, 3.2.2) the authority is left out: it is the client's host.
    """
    target = request.raw_path
    if target[:1] != "/":
        behind = target.partition("://")[2]
        begin = re.search(r"[/?]", behind)
        target = "/" if begin is None else behind[begin.start() :]
        target = target if target[0] == "/" else "/" + target
    path, mark, query = target.partition("?")
    return path, mark + query


def escaped(text: str) -> str:
    """Percent-encode all that may not stand in a URI: it can end no header and begin no fragment."""
    return quote(text, safe=_URI, errors="surrogateescape")


def public_prefix(request: web.BaseRequest, client: Client) -> str:
    """Return what a trusted proxy has stripped from the path, "" where it tells nothing."""
    if not client.trusted:
        return ""
    told = ",".join(request.headers.getall("X-Forwarded-Prefix", ()))
    prefix = told.rpartition(",")[2].strip().rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else ""


def without_port(host: str) -> str:
    """Return an authority without its port."""
    return _PORT.sub("", host)


def plain_host(host: str, scheme: str) -> str:
    """Return an authority so that equal ones are equal texts: lower case, no default port."""
    return host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ":"))
