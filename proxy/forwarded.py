"""Who the client is: the connection's own facts, or what trusted proxies say. Pure functions.

`X-Forwarded-*` and `Forwarded` are believed only from trusted proxies, and read from the right
(semantics.md, row 10): each proxy appends the peer that it saw, so the first address from the right
that is not trusted is the client. Everything further left was written by that client and proves
nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from proxy.headers import Field, decode, encode

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks:
    """A set of networks, asked by address text. An address that does not parse is in none."""

    def __init__(self, written: Iterable[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(net, strict=False) for net in written]
        self._cached = lru_cache(maxsize=4096)(self._contains)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        return bool(self._networks) and self._cached(address)

    def _contains(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)


@lru_cache(maxsize=4096)
def is_private(address: str) -> bool:
    """Tell whether an address is loopback, private or link-local."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return bool(mapped.is_private or mapped.is_loopback or mapped.is_link_local)


class Told(NamedTuple):
    """What a trusted peer tells of a client; None or "" where it tells nothing.

    `prefix` is what it stripped from the path; `chain` the X-Forwarded-For value that goes on: the
    believed part and the peer.
    """

    address: str
    scheme: str | None
    host: str | None
    prefix: str
    chain: str


def client_of(peer: str, fields: Sequence[Field], trusted: Networks) -> Told:
    """Return what the trusted `peer` tells. `Forwarded` counts where there is no X-Forwarded-For.

    Of scheme, host and prefix the last word holds: it is the one that `peer` itself wrote.
    """
    hops = _list(fields, b"x-forwarded-for")
    if hops:
        scheme, host = _last(fields, b"x-forwarded-proto"), _last(fields, b"x-forwarded-host")
    else:
        elements = _elements(",".join(_values(fields, b"forwarded")))
        hops = [element.get("for", "") for element in elements]
        told = elements[-1] if elements else {}
        scheme = told.get("proto") or _last(fields, b"x-forwarded-proto")
        host = told.get("host") or _last(fields, b"x-forwarded-host")
    address, believed = _walk(peer, hops, trusted)
    scheme = None if scheme is None else scheme.lower()
    prefix = (_last(fields, b"x-forwarded-prefix") or "").rstrip("/")
    return Told(
        address,
        scheme if scheme in ("http", "https") else None,
        host,
        prefix if _PREFIX.fullmatch(prefix) else "",
        ", ".join([*believed, peer]),
    )


_PREFIX = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)+")


def _walk(peer: str, hops: Sequence[str], trusted: Networks) -> tuple[str, list[str]]:
    """Return the client's address and the hops from it on, read from the right."""
    believed: list[str] = []
    for hop in reversed(hops):
        address = _address(hop)
        if address is None:
            break
        believed.insert(0, address)
        if address not in trusted:
            break
    return (believed[0] if believed else peer), believed


_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


def _address(node: str) -> str | None:
    """Return the address of a hop without brackets and port (RFC 7239, 6), None for other names."""
    found = _NODE.fullmatch(node)
    address = (found[1] or found[2]) if found else node
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return None
    # A zone may be any text, and says nothing outside of the host that uses it.
    return None if "%" in address else address


def _values(fields: Sequence[Field], name: bytes) -> list[str]:
    return [decode(value) for key, value in fields if key.lower() == name]


def _list(fields: Sequence[Field], name: bytes) -> list[str]:
    values = _values(fields, name)
    return [part.strip() for part in ",".join(values).split(",")] if values else []


def _last(fields: Sequence[Field], name: bytes) -> str | None:
    parts = _list(fields, name)
    return parts[-1] if parts else None


_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*([;,]|$)')


def _elements(value: str) -> list[Mapping[str, str]]:
    """Parse `Forwarded`, names in lower case (RFC 7239, 4); what is malformed tells nothing."""
    elements: list[Mapping[str, str]] = []
    pairs: dict[str, str] = {}
    at = 0
    while at < len(value):
        found = _PAIR.match(value, at)
        if found is None:
            return []
        quoted, bare = found[2], found[3]
        pairs[found[1].lower()] = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if found[4] != ";":
            elements.append(pairs)
            pairs = {}
        at = found.end()
    return [*elements, pairs] if pairs else elements


def forwarded_lines(chain: str, address: str, scheme: str, host: str, prefix: str) -> bytes:
    """Return the header lines by which the upstream learns who came, how, and under which prefix.

    `Forwarded` (RFC 7239) says the same for upstreams that read only that.
    """
    node = f'"[{address}]"' if ":" in address else address
    quoted_host = f";host={_quoted(host)}" if host else ""
    lines = [
        f"X-Forwarded-For: {chain}",
        f"X-Forwarded-Proto: {scheme}",
        f"Forwarded: for={node or 'unknown'};proto={scheme}{quoted_host}",
    ]
    if host:
        lines.append(f"X-Forwarded-Host: {host}")
    if prefix:
        lines.append(f"X-Forwarded-Prefix: {prefix}")
    return encode("\r\n".join(lines) + "\r\n")


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _quoted(host: str) -> str:
    """Return `host` as a value: a ";" or "=" in it must not begin a parameter of its own."""
    return host if _TOKEN.fullmatch(host) else f'"{host}"'
