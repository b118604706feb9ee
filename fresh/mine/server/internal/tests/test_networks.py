"""Each network, and all of them together, may have so much in progress."""

from __future__ import annotations

from ..networks import CONNECTIONS, NETWORKS, InProgress, PerMinute, network_of


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
