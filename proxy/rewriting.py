"""An upstream's own addresses in its answer, told in the client's terms (row 6). Pure functions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit


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
        """Return the public path for an upstream's path, None when it is not below its base."""
        base = self.upstream
        if path == base or path.startswith((base + "/", base + "?", base + "#")):
            return self.public + path[len(base) :]
        return None


def location(value: str, bases: Bases) -> str:
    """Rewrite a `Location` that names the upstream, or is an absolute path below its base.

    The result is an absolute path: the client completes it with the authority that it used itself.
    Anything else is returned as it came.
    """
    if value.startswith("/") and not value.startswith("//"):
        return bases.public_path(value) or value
    if not value.lower().startswith(("http://", "https://", "//")):
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        return value
    if parts.netloc.lower() not in bases.authorities:
        return value
    behind = value.partition("//")[2][len(parts.netloc) :]
    rest = behind if behind.startswith("/") else "/" + behind
    return bases.public_path(rest) or value


def set_cookie(value: str, bases: Bases) -> str:
    """Rewrite a `Set-Cookie`: Domain dropped, Path told as the public prefix (identity.md).

    Two upstreams behind one host must not overwrite each other's `sessionid`. A `__Host-` cookie
    stays as it is: browsers accept it with `Path=/` alone.
    """
    name, *attributes = value.split(";")
    if name.strip().startswith("__Host-"):
        return value
    kept = [a for a in attributes if not _is(a, "domain") and not _is(a, "path")]
    path = next((a.partition("=")[2].strip() for a in attributes if _is(a, "path")), "")
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
