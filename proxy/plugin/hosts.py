"""Upstreams that are known only per request: the host stands in a tenant's secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from proxy.errors import ConfigError, GatewayError
from proxy.paths import canonical

Network = IPv4Network | IPv6Network

LONGEST = 2048
"""Characters of a base URL. What is longer is none."""

KEPT = 1024
"""Base URLs whose origins are kept by their text, for each list of hosts."""

_URL = re.compile(r"https://([^/]+)(/.*)?", re.IGNORECASE)
_VISIBLE = re.compile(r"[\x21-\x7e]*")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = 443
_MAX_PORT = 65535
_MAX_HOST = 253


class Origin:
    """Where a request is sent in place of its route's upstream: made by `TenantHosts.origin` alone.

    Two of the same host, port, path and networks are equal. `alias` is its text: what logs and traces
    call it, such as `https://322ad7cdd9ff.tenant`. These are the first 12 digits of the SHA-256 of
    the host, with `:port` behind it where that is not 443.
    """

    __slots__ = ("_hash", "_key", "alias", "host", "networks", "path", "port")

    def __init__(self, host: str, port: int, path: str, networks: tuple[Network, ...]) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.networks = networks
        self._key = host, port, path, networks
        self._hash = hash(self._key)
        self.alias: str = alias_of(host, port)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Origin) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return self.alias

    def __repr__(self) -> str:
        return f"<Origin {self.alias}>"


def alias_of(host: str, port: int = _PORT) -> str:
    """Return what a tenant's host is called: who knows it finds it by `printf %s HOST | sha256sum`."""
    text = host if port == _PORT else f"{host}:{port}"
    return f"https://{sha256(text.encode()).hexdigest()[:12]}.tenant"


@dataclass(frozen=True, slots=True)
class _Rules:
    suffixes: tuple[str, ...]
    networks: tuple[Network, ...]
    ports: frozenset[int]


class TenantHosts:
    """Which hosts tenants may name in their secrets. Make it once; then, for each request:

    `exchange.outgoing.send_to(hosts.origin(base_url))`. A host must end in one of `suffixes`, as whole
    labels; none allows every name. All its addresses that are used are public, or inside of
    `networks`, which alone allow a host to be an address: that is looked at when a connection is
    opened. `ports` are all that a URL may have.
    """

    __slots__ = ("_origin_of",)

    def __init__(
        self,
        suffixes: Iterable[str] = (),
        networks: Iterable[str] = (),
        ports: Iterable[int] = (_PORT,),
    ) -> None:
        """Raises ConfigError for what is no host name, no network or no port."""
        rules = _Rules(
            tuple(map(_suffix, suffixes)),
            tuple(map(_network, networks)),
            frozenset(map(_port, ports)),
        )
        # By a function that knows the rules alone: a method would make a cycle of this.
        self._origin_of: Callable[[str], Origin] = lru_cache(KEPT)(partial(_parsed, rules))

    def origin(self, base_url: str) -> Origin:
        """Return the origin of a base URL: `https://`, a host that may be named, perhaps a path.

        Raises ValueError for any other. Its text says what is wrong without a part of the URL, which
        came from a secret. Nothing is looked up: ask for each request, the last ones are remembered.
        """
        return self._origin_of(base_url)


def _parsed(rules: _Rules, text: str) -> Origin:
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    if not _VISIBLE.fullmatch(text) or "\\" in text:
        raise ValueError("it holds a space, a backslash or a character that is not visible ASCII")
    if "?" in text or "#" in text:
        raise ValueError("it has a query or a fragment")
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("it does not begin with https:// and a host")
    if "@" in found[1]:
        raise ValueError("it has a user name or a password")
    authority = _AUTHORITY.fullmatch(found[1])
    if authority is None:
        raise ValueError("it has no host, or something behind it that is no port")
    port = int(authority[2] or _PORT)
    if port not in rules.ports:
        raise ValueError("its port is not one that is allowed")
    return Origin(_host(rules, authority[1].lower()), port, _path(found[2] or ""), rules.networks)


def _host(rules: _Rules, written: str) -> str:
    """Return a host as it is used: lower case, no dot at its end, an address in its usual form."""
    host = written if written.startswith("[") else written.removesuffix(".")
    if host.startswith("[") or _NUMBER.fullmatch(host.rpartition(".")[2]):
        return _literal(rules, host.strip("[]"))
    if not is_host_name(host):
        raise ValueError("its host is no name in ASCII (international ones begin with xn--)")
    if not rules.suffixes and "." not in host:
        raise ValueError("its host is no public name")
    if rules.suffixes and not host.endswith(rules.suffixes) and f".{host}" not in rules.suffixes:
        raise ValueError("its host does not end in a name that is allowed")
    return host


def _literal(rules: _Rules, text: str) -> str:
    """Return an address that the operator allows. `127.1` and `0x7f000001` are read by no rule."""
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or not within(address, rules.networks):
        raise ValueError("its host is an address, and not one that is allowed")
    return str(address)


def _path(path: str) -> str:
    if path in ("", "/"):
        return ""
    try:
        canonical(path)
    except GatewayError:
        raise ValueError("its path has an empty segment, '.', '..' or a control") from None
    return path.removesuffix("/")


def within(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of `networks`, also as IPv6 writes those of IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any(address in network or (mapped or address) in network for network in networks)


def is_host_name(text: str) -> bool:
    """Tell whether `text` is a host name in lower case (RFC 1123, 2.1), without a dot at its end."""
    return len(text) <= _MAX_HOST and all(_LABEL.fullmatch(one) for one in text.split("."))


# -- what the operator says


def _suffix(text: str) -> str:
    """Return a suffix with its dot: `evilmyshopify.com` does not end in `.myshopify.com`."""
    host = text.lower().removesuffix(".")
    if not is_host_name(host):
        raise ConfigError(
            f"'{text}' is no host name", hint="write a suffix such as myshopify.com, without a dot"
        )
    return f".{host}"


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ConfigError(
            f"'{text}' is no network", hint="write one such as 10.20.0.0/16, or an address"
        ) from None


def _port(port: int) -> int:
    if not 0 < port <= _MAX_PORT:
        raise ConfigError(f"{port} is no port", hint=f"a port is 1 to {_MAX_PORT}")
    return port
