"""Who passes on to the route instead of being answered."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address, ip_network

from aiohttp import web

from proxy import EXCHANGE


class Passing:
    """Networks of clients, and a header whose value the file has as a digest. Either is enough."""

    def __init__(self, networks: Sequence[str], header: Mapping[str, str] | None) -> None:
        self._networks = [ip_network(text.strip(), strict=False) for text in networks]
        self._header = "" if header is None else header["name"]
        self._digest = b"" if header is None else bytes.fromhex(header["sha256"])

    def __bool__(self) -> bool:
        return bool(self._networks or self._header)

    @property
    def header(self) -> str | None:
        """The header's name, None where there is none."""
        return self._header or None

    def lets(self, request: web.BaseRequest) -> bool:
        """Tell whether a request passes on."""
        return self.is_near(request[EXCHANGE].client.address) or self._has_header(request)

    def is_near(self, address: str) -> bool:
        """Tell whether an address is in one of the networks."""
        if not self._networks:
            return False
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
        return any((mapped or parsed) in network for network in self._networks)

    def _has_header(self, request: web.BaseRequest) -> bool:
        given = request.headers.get(self._header) if self._header else None
        if given is None:
            return False
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self._digest)
