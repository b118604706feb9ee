"""Each network, and all of them together, may have so much in progress."""

from __future__ import annotations

import pytest

from ..networks import CONNECTIONS, NETWORKS, InProgress, PerMinute, is_within, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("x" * 100, "x" * 64),
    ],
)
def test_network_is_what_one_customer_has(address: str, network: str) -> None:
    assert network_of(address) == network


def test_address_is_within_its_networks_alone() -> None:
    networks = ("10.0.0.0/8", "2001:db8::/32")
    assert is_within("10.1.2.3", networks) and is_within("2001:db8::1", networks)
    assert not is_within("11.0.0.1", networks) and not is_within("not an address", networks)


def test_addresses_of_one_ipv6_network_share_a_limit() -> None:
    connections = InProgress(in_total=10_000)
    addresses = [f"2001:db8::{number:x}" for number in range(600)]
    assert sum(connections.enter(network_of(address)) for address in addresses) == CONNECTIONS
    assert connections.enter(network_of("2001:db8:0:1::1"))
    connections.leave(network_of(addresses[0]))
    assert connections.enter(network_of("2001:db8::ffff"))


def test_total_holds_for_trusted_proxies_too() -> None:
    connections = InProgress(in_total=300)
    assert sum(connections.enter("10.0.0.1", is_limited=False) for _ in range(400)) == 300
    assert not connections.enter("192.0.2.1")
    connections.leave("10.0.0.1")
    assert connections.enter("192.0.2.1")


def test_many_networks_take_bounded_memory() -> None:
    per_minute = PerMinute(2)
    for number in range(NETWORKS):
        assert per_minute.allows(str(number))
    assert [per_minute.allows(f"new-{number}") for number in range(4)] == [True, True, False, False]
