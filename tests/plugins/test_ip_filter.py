"""From which addresses the gateway may be called."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_kit import Found

from plugins.ip_filter import IpFilter
from plugins.ip_filter.networks import Networks, address_of, network_of
from plugins.ip_filter.plugin import MOST_VERDICTS
from proxy.testing import OptionsError, call, check_plugin, make


async def lets_in(options: dict[str, Any], address: str) -> bool:
    called = await call(make(IpFilter, options), client=address)
    if called.reached == 0:
        assert (called.answer.status, called.json()["code"]) == (403, "address_refused")
    return called.reached == 1


@pytest.mark.parametrize(
    ("options", "address", "passes"),
    [
        ({"allow": ["10.0.0.0/8"]}, "10.1.2.3", True),
        ({"allow": ["10.0.0.0/8"]}, "11.1.2.3", False),
        ({"allow": ["10.0.0.0/8"]}, "2001:db8::1", False),
        ({"allow": ["10.0.0.7"]}, "10.0.0.7", True),
        ({"allow": ["10.0.0.7"]}, "10.0.0.8", False),
        ({"deny": ["10.0.0.0/8"]}, "10.1.2.3", False),
        ({"deny": ["10.0.0.0/8"]}, "11.1.2.3", True),
        ({"deny": []}, "11.1.2.3", True),
        ({"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}, "10.1.2.3", False),
        ({"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}, "10.2.2.3", True),
        ({"allow": ["10.1.2.0/24"], "deny": ["10.1.2.128/25"]}, "10.1.2.200", False),
        # The same address, as a socket for both families writes it.
        ({"allow": ["10.0.0.0/8"]}, "::ffff:10.1.2.3", True),
        ({"deny": ["10.0.0.0/8"]}, "::ffff:10.1.2.3", False),
        ({"deny": ["10.0.0.0/8"]}, "::ffff:a01:203", False),
        ({"deny": ["::ffff:10.0.0.0/104"]}, "10.1.2.3", False),
        ({"deny": ["::ffff:10.1.2.3"]}, "10.1.2.3", False),
        ({"allow": ["::/0"]}, "10.1.2.3", False),
        ({"allow": ["::/0"]}, "::ffff:10.1.2.3", False),
        ({"allow": ["0.0.0.0/0"]}, "::ffff:10.1.2.3", True),
        ({"allow": ["0.0.0.0/0", "::/0"]}, "2001:db8::1", True),
        ({"deny": ["2001:db8::/32"]}, "2001:DB8:0:0::1", False),
        ({"deny": ["fe80::/10"]}, "fe80::1%eth0", False),
        # What is no address is in no list, and let in by none.
        ({"allow": ["0.0.0.0/0", "::/0"]}, "", False),
        ({"deny": ["10.0.0.0/8"]}, "unknown", False),
        ({"deny": ["10.0.0.0/8"]}, "010.1.2.3", False),
    ],
)
async def test_addresses_are_judged_by_both_lists(
    options: dict[str, Any], address: str, passes: bool
) -> None:
    assert await lets_in(options, address) == passes


async def test_a_verdict_that_is_remembered_is_the_same_and_few_are() -> None:
    plugin = make(IpFilter, {"deny": ["10.0.0.0/9"]})
    for number in range(MOST_VERDICTS + 10):
        address = str(ip_address("10.127.255.250") + number)
        assert plugin._remembered(address) == (number > 5)
    assert len(plugin._verdicts) == MOST_VERDICTS


_V4 = st.ip_addresses(v=4)
_NETWORKS = st.lists(
    st.tuples(_V4, st.integers(0, 32)).map(
        lambda pair: ip_network(f"{pair[0]}/{pair[1]}", strict=False)
    ),
    max_size=5,
)


@given(_NETWORKS, _V4)
def test_a_set_of_networks_contains_what_one_of_them_does(networks: Any, address: Any) -> None:
    assert (address in Networks(networks)) == any(address in one for one in networks)


@given(_NETWORKS, _NETWORKS)
def test_a_set_contains_a_whole_network_where_one_of_them_does(networks: Any, asked: Any) -> None:
    for one in asked:
        found = Networks(networks).contain_all_of(one)
        assert found == any(one.subnet_of(other) for other in networks)


def test_mapped_networks_and_addresses_are_of_ipv4() -> None:
    assert network_of("::ffff:10.0.0.0/104") == ip_network("10.0.0.0/8")
    assert network_of("::ffff:0:0/96") == ip_network("0.0.0.0/0")
    assert network_of("::/0") == ip_network("::/0")
    assert address_of("::ffff:10.0.0.1") == ip_address("10.0.0.1")


def test_a_network_that_is_wholly_denied_can_not_be_allowed() -> None:
    found = Found()
    make_unchecked({"allow": ["10.1.0.0/16", "11.0.0.0/8"], "deny": ["10.0.0.0/8"]}).check(found)
    assert list(found.errors) == ["allow.0"]


def make_unchecked(options: dict[str, Any]) -> IpFilter:
    return IpFilter(**options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"allow": []},
        {"allow": ["10.0.0.0/33"]},
        {"deny": ["10.0.0.1/8"]},
        {"deny": ["example.com"]},
        {"block": ["10.0.0.0/8"]},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        make(IpFilter, options)


def test_it_says_whom_it_lets_in() -> None:
    listed = [f"10.0.0.{n}" for n in range(5)]
    assert make(IpFilter, {"allow": ["10.0.0.0/8"]}).admits() == "from 10.0.0.0/8"
    both = make(IpFilter, {"allow": ["11.0.0.0/8"], "deny": listed})
    assert both.admits() == "from 11.0.0.0/8, not from 10.0.0.0, 10.0.0.1, 10.0.0.2 and 2 more"
    assert make(IpFilter, {"deny": []}).admits() == "from anywhere"


async def test_it_explains_its_verdict() -> None:
    plugin = make(IpFilter, {"allow": ["10.0.0.0/8"]})
    called = await call(plugin, client="11.0.0.1")
    assert plugin.explain(called.exchange) == [
        "lets callers in from 10.0.0.0/8",
        "11.0.0.1 is refused with 403 address_refused",
    ]


async def test_it_is_a_good_plugin() -> None:
    await check_plugin(IpFilter, {"deny": ["10.0.0.0/8"]})
