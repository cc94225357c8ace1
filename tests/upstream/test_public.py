"""Which addresses a tenant's host may have: the registries of special addresses, one row each."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

import pytest

from proxy.errors import GatewayError
from proxy.upstream.public import admitted, is_public
from proxy.upstream.resolver import SocketAddress

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1
127.255.0.1 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1
192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1
::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:100.64.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
64:ff9b::10.0.0.1 64:ff9b:1::808:808 64:ff9b:1::1 2002:7f00:1:: 2002:a9fe:a9fe::1 2002:c0a8:101::1
2002:a00:1:: 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:10::1 2001:20::1 2001:db8::1
3fff::1 3fff:fff:ffff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fe80::a9fe:a9fe
febf::1 fec0::1 feff::1 ff02::1 ff0e::1
"""

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0
198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b::808:808
2002:808:808::1 2001:200::1 2001:4860:4860::8888 2606:4700::1111 2a00:1450::1 3ffe::1
"""


@pytest.mark.parametrize("text", REFUSED.split())
def test_what_is_not_anybodys_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC.split())
def test_what_is_given_out_is_public(text: str) -> None:
    assert is_public(ip_address(text))


def found(*texts: str) -> tuple[SocketAddress, ...]:
    return tuple(
        (socket.AF_INET6, (text, 443, 0, 0)) if ":" in text else (socket.AF_INET, (text, 443))
        for text in texts
    )


def test_of_a_mixed_answer_only_the_public_addresses_are_used() -> None:
    mixed = found("10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "::ffff:127.0.0.1")
    assert admitted(mixed, ()) == found("8.8.8.8", "2606:4700::1111")


@pytest.mark.parametrize("texts", [(), ("10.0.0.1", "fe80::1%eth0"), ("::ffff:10.0.0.1",)])
def test_with_no_public_address_there_is_nothing_to_connect_to(texts: tuple[str, ...]) -> None:
    with pytest.raises(GatewayError) as refused:
        admitted(found(*texts), ())
    assert refused.value.code == "tenant_address_refused"
    assert refused.value.log == ""


@pytest.mark.parametrize(
    ("text", "network", "allowed"),
    [
        ("10.1.2.3", "10.1.0.0/16", True),
        ("10.2.0.1", "10.1.0.0/16", False),
        ("::ffff:10.1.2.3", "10.1.0.0/16", True),
        ("64:ff9b::a01:203", "10.1.0.0/16", False),
        ("fd00::1", "fd00::/8", True),
        ("fe80::1%eth0", "fe80::/10", True),
        ("127.0.0.1", "::/0", False),
    ],
)
def test_the_operator_may_allow_networks(text: str, network: str, allowed: bool) -> None:
    networks = (ip_network(network),)
    if allowed:
        assert admitted(found(text), networks) == found(text)
    else:
        with pytest.raises(GatewayError):
            admitted(found(text), networks)
