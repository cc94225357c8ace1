"""An upstream's own addresses in its answer, told in the client's terms (row 6). Pure functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Container
from dataclasses import dataclass

_ABSOLUTE = re.compile(r"(https?:)?//([^/?#\\\s]*)([/?#].*)?", re.IGNORECASE | re.DOTALL)
_DEFAULT_PORTS = {"http:": ":80", "https:": ":443"}


@dataclass(frozen=True, slots=True)
class Bases:
    """One route's two views of the same place.

    `upstream` is the upstream's base path, `public` the public prefix that stands for it, both
    without a trailing slash. `authorities` are the host[:port] texts that mean the upstream.
    """

    upstream: str
    public: str
    authorities: Collection[str]

    def public_path(self, path: str) -> str | None:
        """Return the public path for an upstream's path, None when it is not below its base.

        A path below the public prefix is public already: the upstream has read X-Forwarded-Prefix.
        """
        if self.public and _is_below(path, self.public):
            return path
        if not _is_below(path, self.upstream):
            return None
        rest = path[len(self.upstream) :]
        if self.public:
            return self.public + rest
        # Bare, "//x" and "/\x" would name a host, and "?x" the path that was asked for.
        if rest[:2] in ("//", "/\\"):
            return None
        return rest if rest[:1] == "/" else "/" + rest


def _is_below(path: str, base: str) -> bool:
    return path.startswith(base) and path[len(base) : len(base) + 1] in ("", "/", "?", "#")


def location(value: str, bases: Bases) -> str:
    """Rewrite a `Location` that names the upstream, or is an absolute path below its base.

    The result is an absolute path: the client completes it with the authority that it used itself.
    Anything else is returned as it came.
    """
    if value.startswith("/") and not value.startswith(("//", "/\\")):
        return bases.public_path(value) or value
    found = _ABSOLUTE.fullmatch(value)
    if found is None or not _names(found, bases.authorities):
        return value
    rest = found[3] or "/"
    return bases.public_path(rest if rest[0] == "/" else "/" + rest) or value


def _names(found: re.Match[str], authorities: Collection[str]) -> bool:
    """Tell whether an absolute reference names one of `authorities`, with its own port or none."""
    authority = found[2].lower()
    port = _DEFAULT_PORTS.get((found[1] or "").lower(), ":80")
    return authority in authorities or authority.removesuffix(port) in authorities


def set_cookie(value: str, bases: Bases) -> str:
    """Rewrite a `Set-Cookie`: Domain dropped, Path told as the public prefix (identity.md).

    Two upstreams behind one host must not overwrite each other's `sessionid`. A `__Host-` cookie
    stays as it is: browsers accept it with `Path=/` alone.
    """
    name, *attributes = value.split(";")
    if name.strip().lower().startswith("__host-"):
        return value
    kept = [a for a in attributes if not _is(a, "domain") and not _is(a, "path")]
    # Browsers heed the last of several (RFC 6265, 5.3).
    path = next((a.partition("=")[2].strip() for a in attributes[::-1] if _is(a, "path")), "")
    return ";".join([name, *kept, f" Path={_cookie_path(path, bases)}"])


def _is(attribute: str, name: str) -> bool:
    return attribute.partition("=")[0].strip().lower() == name


def _cookie_path(path: str, bases: Bases) -> str:
    if not path.startswith("/"):
        path = "/"
    below = bases.public_path(path)
    return (below if below is not None else bases.public) or "/"


def cookies(value: str, allowed: Collection[str]) -> str:
    """Return a `Cookie` value with only the allowed names, "" when none is left."""
    kept = [pair.strip() for pair in value.split(";") if pair.partition("=")[0].strip() in allowed]
    return "; ".join(kept)


def cookies_without(value: str, hidden: Container[str]) -> str:
    """Return a `Cookie` value without the hidden names, "" when none is left."""
    pairs = (pair.strip() for pair in value.split(";"))
    return "; ".join(pair for pair in pairs if pair.partition("=")[0].strip() not in hidden)


def cookie_value(value: str, name: str) -> str | None:
    """Return one cookie of a `Cookie` value, the first of its name (RFC 6265, 5.4)."""
    for pair in value.split(";"):
        key, equals, found = pair.partition("=")
        if equals and key.strip() == name:
            return found.strip()
    return None
