"""Which addresses a tenant's host may have: public ones, and those that the operator allows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from proxy.errors import GatewayError
from proxy.plugin.hosts import Network, within
from proxy.upstream.resolver import SocketAddress


def _v4(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, texts))


def _v6(*texts: str) -> tuple[IPv6Network, ...]:
    return tuple(map(IPv6Network, texts))


# The registries of special addresses (RFC 6890), written out: what `ipaddress` says of them differs
# from one Python to the next.
_REFUSED_4 = _v4(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",
    "100.64.0.0/10",  # behind a provider's translation; clouds keep their metadata there too
    "127.0.0.0/8",
    "169.254.0.0/16",  # link-local, 169.254.169.254 among them
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # relays of 6to4
    "192.168.0.0/16",
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
_GLOBAL_6 = IPv6Network("2000::/3")
"""All that is given out. Loopback, link-local, unique local, site-local, multicast lie outside."""

_REFUSED_6 = _v6(
    "2001::/23",  # Teredo, ORCHID and other protocols of their own
    "2001:db8::/32",  # documentation
    "3fff::/20",  # documentation
)
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""NAT64 (RFC 6052): the last 32 bits are an IPv4 address. A network without IPv4 needs it."""

_SIX_TO_FOUR = IPv6Network("2002::/16")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is anybody's to reach, an IPv4 address inside an IPv6 one included."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    return address in _GLOBAL_6 and not any(address in network for network in _REFUSED_6)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return None


def admitted(
    addresses: Iterable[SocketAddress], networks: Collection[Network]
) -> tuple[SocketAddress, ...]:
    """Return those addresses of a tenant's host that may be connected to.

    Raises GatewayError `tenant_address_refused` where there is none.
    """
    kept = tuple(one for one in addresses if _may(str(one[1][0]), networks))
    if not kept:
        raise GatewayError("tenant_address_refused")
    return kept


def _may(text: str, networks: Collection[Network]) -> bool:
    address = ip_address(text.partition("%")[0])
    return within(address, networks) or is_public(address)
