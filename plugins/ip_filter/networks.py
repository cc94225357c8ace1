"""Sets of networks, asked by address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as a socket for both families writes them (RFC 4291, 2.5.5.2)."""


def address_of(text: str) -> Address | None:
    """Return an address, in IPv4 where it is a mapped one; None for what is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def network_of(text: str) -> Network:
    """Return a network, in IPv4 where all of it is mapped. Raises ValueError for what is none."""
    network = ipaddress.ip_network(text.strip())
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        low = int(network.network_address) & 0xFFFFFFFF
        return ipaddress.IPv4Network((low, network.prefixlen - _MAPPED.prefixlen))
    return network


class Networks:
    """Networks by family and length, so that a thousand of one length cost what one does."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._by_length: dict[tuple[int, int], set[int]] = {}
        for one in networks:
            shift = one.max_prefixlen - one.prefixlen
            known = self._by_length.setdefault((one.version, shift), set())
            known.add(int(one.network_address) >> shift)

    def __bool__(self) -> bool:
        return bool(self._by_length)

    def __contains__(self, address: Address) -> bool:
        number, version = int(address), address.version
        return any(
            family == version and number >> shift in known
            for (family, shift), known in self._by_length.items()
        )

    def contain_all_of(self, network: Network) -> bool:
        """Tell whether one of them contains the whole of `network`."""
        number = int(network.network_address)
        least = network.max_prefixlen - network.prefixlen
        return any(
            family == network.version and shift >= least and number >> shift in known
            for (family, shift), known in self._by_length.items()
        )
