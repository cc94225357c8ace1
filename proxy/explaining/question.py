"""What is asked: one request, who sends it, and who the caller is taken for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from proxy.config.models import Address, Gateway
from proxy.headers import encode

_BREAKS = re.compile("[\r\n\0]")
_URL = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  nothing is bound here


@dataclass(frozen=True, slots=True)
class Question:
    """One request as a client would write it.

    `target` is a path with its query, or a URL, whose authority is then the `Host`. `address` is the
    peer's. `claims` are those that the caller is taken to have, None for a caller that nobody knows.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    address: str = "127.0.0.1"
    claims: Mapping[str, Any] | None = None


def written(question: Question, gateway: Gateway) -> bytes:
    """Return the request as bytes; without a `Host` it asks for the address that is listened on.

    Raises ValueError for what could not be one request: line breaks, and a target that is neither a
    path nor a URL.
    """
    host, target = aim(question.target)
    if not target.startswith("/") and target != "*":
        raise ValueError("PATH begins with a slash, or is a URL")
    headers = list(question.headers)
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", host or _authority(gateway.listen)))
    lines = [
        f"{question.method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers),
    ]
    if any(_BREAKS.search(line) for line in lines):
        raise ValueError("a line break or a NUL can't be part of a request")
    return encode("\r\n".join(lines) + "\r\n\r\n")


def aim(target: str) -> tuple[str, str]:
    """Return the authority that a URL names, and what a client would ask there for."""
    found = _URL.fullmatch(target)
    if found is None:
        return "", target
    rest = found[2].partition("#")[0]
    return found[1], rest if rest.startswith("/") else f"/{rest}"


def _authority(listen: Address) -> str:
    """Return host and port by which this machine would ask the listener."""
    return str(replace(listen, host="localhost") if listen.host in _ANYWHERE else listen)
