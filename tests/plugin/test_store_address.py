"""Addresses of a shared store: which are taken, and that none tells its password."""

from __future__ import annotations

import pytest

from proxy.plugin.stores import StoreAddress, address_of


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://store", StoreAddress("store", 6379)),
        ("valkey://store:1/", StoreAddress("store", 1)),
        ("redis://10.0.0.1:7000/3", StoreAddress("10.0.0.1", 7000, 3)),
        ("redis://[::1]:7000", StoreAddress("::1", 7000)),
        ("rediss://store", StoreAddress("store", 6379, tls=True)),
        ("valkeys://store", StoreAddress("store", 6379, tls=True)),
        ("redis://:p%40ss@store", StoreAddress("store", 6379, password="p@ss")),
        ("redis://me:a%2Fb@store/1", StoreAddress("store", 6379, 1, False, "me", "a/b")),
    ],
)
def test_an_address_is_read(url: str, address: StoreAddress) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store:6379",
        "http://user:hidden@store",
        "redis://",
        "redis://:hidden@",
        "redis://:hidden@store:port",
        "redis://:hid/den@store",
        "redis://:hidden@store:99999",
        "redis://:hidden@store/zero",
        "redis://:hidden@store/-1",
        "redis://:hidden@store/1/2",
        "rediss://:hidden@store?ssl_cert_reqs=none",
        "redis://:hidden@store#1",
        "redis://:hidden@[::1",
    ],
)
def test_another_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        address_of(url)
    assert "hid" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_digest_tells_addresses_apart_by_all_that_they_have() -> None:
    urls = ("redis://a", "redis://a/1", "rediss://a", "redis://u@a", "redis://:u@a", "redis://a:1")
    assert len({address_of(url).digest for url in urls}) == len(urls)


def test_neither_user_nor_password_are_shown() -> None:
    address = address_of("rediss://somebody:hidden@[::1]:7000/3")
    assert str(address) == "rediss://[::1]:7000/3"
    assert "hidden" not in repr(address)
    assert "somebody" not in repr(address)
