"""Who the client is: read from the right, believed from trusted proxies alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.forwarded import Networks, client_of, forwarded_lines, is_private

TRUSTED = Networks(["10.0.0.0/8", "2001:db8::/32"])
PEER = "10.0.0.1"


def told(*fields: tuple[str, str]) -> tuple[str, str | None, str | None, str, str]:
    return client_of(PEER, [(name.encode(), value.encode()) for name, value in fields], TRUSTED)


@pytest.mark.parametrize(
    ("sent", "address", "chain"),
    [
        ("203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("6.6.6.6, 203.0.113.9, 10.1.1.1", "203.0.113.9", "203.0.113.9, 10.1.1.1, 10.0.0.1"),
        ("10.2.2.2, 10.1.1.1", "10.2.2.2", "10.2.2.2, 10.1.1.1, 10.0.0.1"),
        ("6.6.6.6, junk, 10.1.1.1", "10.1.1.1", "10.1.1.1, 10.0.0.1"),
        ("junk", PEER, PEER),
        ("unknown", PEER, PEER),
        ("", PEER, PEER),
        ("203.0.113.9:4711", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("[2001:db9::1]:4711", "2001:db9::1", "2001:db9::1, 10.0.0.1"),
        ("2001:db9::1", "2001:db9::1", "2001:db9::1, 10.0.0.1"),
        ('fe80::1%";host=evil', PEER, PEER),
        ("fe80::1%eth0", PEER, PEER),
    ],
)
def test_the_first_address_from_the_right_that_is_not_trusted_is_the_client(
    sent: str, address: str, chain: str
) -> None:
    found = told(("X-Forwarded-For", sent))
    assert (found.address, found.chain) == (address, chain)


def test_repeated_fields_are_one_list_and_the_last_word_is_the_peers() -> None:
    found = told(
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "spoofed.example"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "a.example, real.example"),
    )
    assert found[:3] == ("203.0.113.9", "http", "real.example")


@pytest.mark.parametrize("scheme", ["ftp", "", "https http", "javascript"])
def test_a_scheme_is_http_or_https_or_nothing(scheme: str) -> None:
    assert told(("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", scheme)).scheme is None


@pytest.mark.parametrize(
    ("sent", "prefix"),
    [
        ("/edge", "/edge"),
        ("/edge/", "/edge"),
        ("/a, /b", "/b"),
        ("/", ""),
        ("edge", ""),
        ("/../x", ""),
        ("//evil.example", ""),
        ("/a\\b", ""),
        ("/a?b", ""),
        ("/a%2e", ""),
    ],
)
def test_a_prefix_is_believed_when_it_is_a_plain_path(sent: str, prefix: str) -> None:
    assert told(("X-Forwarded-Prefix", sent)).prefix == prefix


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
        ('for=6.6.6.6, for="[2001:db9::1]:80"', "2001:db9::1"),
        ('for=6.6.6.6, for=203.0.113.9, for="10.1.1.1:80"', "203.0.113.9"),
        ('for="6.6.6.6, for=7.7.7.7", for=203.0.113.9', "203.0.113.9"),
        ("for=_hidden", PEER),
        ("for=unknown", PEER),
        ("for=203.0.113.9;", "203.0.113.9"),
        ('for="203.0.113.9', PEER),
        ("garbage", PEER),
        ("", PEER),
    ],
)
def test_forwarded_is_read_where_there_is_no_x_forwarded_for(sent: str, address: str) -> None:
    assert told(("Forwarded", sent)).address == address


def test_forwarded_tells_scheme_and_host_and_yields_to_x_forwarded_for() -> None:
    sent = ("Forwarded", 'for=203.0.113.9;proto=https;host="a.example:8443"')
    assert told(sent)[:3] == ("203.0.113.9", "https", "a.example:8443")
    both = told(sent, ("X-Forwarded-For", "203.0.113.77"))
    assert both[:3] == ("203.0.113.77", None, None)


@given(st.text(max_size=60))
def test_no_text_makes_reading_fail_or_names_what_is_no_address(text: str) -> None:
    for name in ("X-Forwarded-For", "Forwarded", "X-Forwarded-Prefix"):
        found = client_of(PEER, [(name.encode(), text.encode("utf-8", "surrogatepass"))], TRUSTED)
        assert set(found.address) <= set("0123456789abcdefABCDEF:.")
        assert not set(found.prefix) & set('"\\?#,; ')


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("a.example", "host=a.example"),
        ("a.example:80", 'host="a.example:80"'),
        ("a;for=6.6.6.6", 'host="a;for=6.6.6.6"'),
        ("a=b", 'host="a=b"'),
        ("[::1]", 'host="[::1]"'),
    ],
)
def test_a_host_can_not_begin_a_parameter_of_its_own(host: str, shown: str) -> None:
    lines = forwarded_lines("1.2.3.4", "1.2.3.4", "http", host, "").decode().split("\r\n")
    assert lines[2] == f"Forwarded: for=1.2.3.4;proto=http;{shown}"


def test_the_upstream_is_told_in_both_ways() -> None:
    lines = forwarded_lines("2001:db9::1, 10.0.0.1", "2001:db9::1", "https", "h.example", "/p")
    assert lines == (
        b"X-Forwarded-For: 2001:db9::1, 10.0.0.1\r\n"
        b"X-Forwarded-Proto: https\r\n"
        b'Forwarded: for="[2001:db9::1]";proto=https;host=h.example\r\n'
        b"X-Forwarded-Host: h.example\r\n"
        b"X-Forwarded-Prefix: /p\r\n"
    )
    assert b"for=unknown" in forwarded_lines("", "", "http", "", "")


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1%eth0", True),
        ("11.0.0.1", False),
        ("", False),
        ("junk", False),
    ],
)
def test_networks_know_mapped_addresses_and_zones(address: str, inside: bool) -> None:
    assert (address in TRUSTED) is inside
    assert address not in Networks([])


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("192.168.0.1", True),
        ("::1", True),
        ("::ffff:10.0.0.1", True),
        ("fe80::1%eth0", True),
        ("8.8.8.8", False),
        ("", False),
        ("junk", False),
    ],
)
def test_private_addresses_are_known(address: str, private: bool) -> None:
    assert is_private(address) is private
