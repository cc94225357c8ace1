"""Who the client is: the connection's own facts, or what trusted proxies say (row 10). Pure functions.

`X-Forwarded-*` and `Forwarded` are believed only from trusted proxies, and read from the right: each
proxy appends the peer that it saw, so the first address from the right that is not trusted is the
client. Everything further left was written by that client and proves nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

from proxy.headers import Field, decode, encode, first

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


def client_of(
    peer: str, fields: Sequence[Field], trusted: Networks
) -> tuple[str, str | None, str | None, str]:
    """Return address, scheme and host as a trusted `peer` tells them, and the chain to pass on.

    Scheme and host are None where it tells nothing. The chain is the X-Forwarded-For value that goes
    to the upstream: the believed part and the peer.
    """
    hops = [part.strip() for part in _list(fields, b"x-forwarded-for")]
    believed: list[str] = []
    address = peer
    for hop in reversed(hops):
        if not _is_address(hop):
            break
        believed.insert(0, hop)
        address = hop
        if hop not in trusted:
            break
    scheme = _last(fields, b"x-forwarded-proto")
    host = _last(fields, b"x-forwarded-host")
    chain = ", ".join([*believed, peer])
    return address, scheme if scheme in ("http", "https") else None, host, chain


def _list(fields: Sequence[Field], name: bytes) -> list[str]:
    values = [decode(value) for key, value in fields if key.lower() == name]
    return ",".join(values).split(",") if values else []


def _last(fields: Sequence[Field], name: bytes) -> str | None:
    found = first(fields, name)
    return None if found is None else decode(found).rpartition(",")[2].strip()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


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


def _quoted(host: str) -> str:
    return f'"{host}"' if ":" in host else host
