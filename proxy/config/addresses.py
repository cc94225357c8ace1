"""Addresses in the file: listeners, targets, networks. Every ValueError names the accepted form."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from proxy.config.models import Address, TargetSpec
from proxy.errors import GatewayError
from proxy.paths import canonical

_LISTEN = re.compile(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})")
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)",
    re.DOTALL,
)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_VISIBLE = re.compile(r"[\x21-\x7e]*")

MAX_PORT = 65535
MAX_HOST = 253
_PORTS = {"http": 80, "https": 443}
_URL_FORM = "a URL such as http://lago-api:3000/api/v1"
_LISTEN_FORM = "an address and port such as 0.0.0.0:8080, :8080 or [::]:8080"


def parse_listen(text: str) -> Address:
    """Return host and port; no host means all IPv4 addresses, port 0 a free one."""
    found = _LISTEN.fullmatch(text)
    if not found or int(found[2]) > MAX_PORT:
        raise ValueError(f"expected {_LISTEN_FORM}")
    host = found[1].strip("[]")
    if found[1].startswith("["):
        _check_ip(host, version=6)
    elif host:
        check_host(host)
    return Address(host or "0.0.0.0", int(found[2]))  # noqa: S104  what ':8080' asks for


def parse_url(text: str) -> tuple[TargetSpec, str]:
    """Return the target and the path of an upstream's URL; a path has no slash at its end."""
    found = _URL.fullmatch(text)
    if not found:
        raise ValueError(f"expected {_URL_FORM}")
    scheme = found["scheme"].lower()
    if scheme not in _PORTS:
        raise ValueError("an upstream is reached by http:// or https://")
    if found["rest"]:
        raise ValueError("an upstream's URL has no query and no fragment")
    if "@" in found["authority"]:
        raise ValueError("an upstream's URL has no user name and no password")
    host, port = _split_authority(found["authority"])
    return TargetSpec(scheme, host, port or _PORTS[scheme]), parse_base(found["path"])


def parse_base(path: str) -> str:
    """Return a path to be put before others: it begins with a slash, ends with none, or is ""."""
    if path.strip("/") == "":
        if path not in {"", "/"}:
            raise ValueError("a path has no empty segments")
        return ""
    check_path(path)
    return path.removesuffix("/")


def check_path(path: str) -> None:
    """Raise ValueError unless `path` is one that a request could have, without query."""
    if not path.startswith("/") or "?" in path or "#" in path or not _VISIBLE.fullmatch(path):
        raise ValueError("expected a path such as /api/v1, its special characters percent-encoded")
    try:
        canonical(path)
    except GatewayError:
        raise ValueError("a path has no empty segments, no '.' and no '..'") from None


def check_host(host: str) -> None:
    """Raise ValueError unless `host` is an IPv4 address or a host name in ASCII."""
    if host and all(part.isdigit() for part in host.split(".")):
        _check_ip(host, version=4)
        return
    labels = host.removesuffix(".").split(".")
    if len(host) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("expected a host name in ASCII (international ones begin with xn--)")


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """Return the network; a single address is one too."""
    try:
        return ip_network(text.strip(), strict=True)
    except ValueError:
        raise ValueError("expected a network such as 10.0.0.0/8, or an address") from None


def is_private(host: str) -> bool:
    """Say whether a target is near by its name: a private or loopback address, or one label."""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host.removesuffix(".")
    return address.is_private or address.is_loopback


def _split_authority(authority: str) -> tuple[str, int]:
    found = _AUTHORITY.fullmatch(authority)
    if not found or not found[1].strip("[]"):
        raise ValueError(f"expected {_URL_FORM}")
    port = int(found[2] or 0)
    if port > MAX_PORT or (found[2] and not port):
        raise ValueError(f"a port is 1 to {MAX_PORT}")
    host = found[1].strip("[]")
    if found[1].startswith("["):
        _check_ip(host, version=6)
    else:
        check_host(host)
    return host, port


def _check_ip(host: str, version: int) -> None:
    try:
        if ip_address(host).version == version and "%" not in host:
            return
    except ValueError:
        pass
    raise ValueError(f"this is no IPv{version} address")
