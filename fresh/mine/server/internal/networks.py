"""Owns what is counted in this process alone: requests and connections, mostly of networks.

These limits hold before anything else is done for a request or connection.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Sequence

# Connections of one network, and its requests in progress. A trusted proxy has no such limit.
CONNECTIONS = 256
# Names that are counted in a minute; those after them share one limit.
NETWORKS = 65_536
MINUTE = 60


class PerMinute:
    """Counts what each network, or caller, does in a minute."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def allows(self, name: str) -> bool:
        """Count one more under this name; return False if it is too many."""
        minute = int(time.time()) // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        if name not in self._counts and len(self._counts) >= NETWORKS:
            name = "others"
        self._counts[name] += 1
        return self._counts[name] <= self.most


class InProgress:
    """Counts what is in progress for each network, and in total."""

    def __init__(self, in_total: int) -> None:
        self._in_total = in_total
        self._total = 0
        self._counts: Counter[str] = Counter()

    def enter(self, network: str, *, is_limited: bool = True) -> bool:
        """Count one more, until `leave`; return False, and count nothing, if it is too many."""
        if self._total >= self._in_total:
            return False
        if is_limited and self._counts[network] >= CONNECTIONS:
            return False
        self._total += 1
        self._counts[network] += 1
        return True

    def leave(self, network: str) -> None:
        """Count one less."""
        self._total -= 1
        self._counts[network] -= 1
        if not self._counts[network]:
            del self._counts[network]


def network_of(address: str) -> str:
    """Return the address; for IPv6 its /64, which belongs to one customer."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Return True if one of the networks has this address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(network) for network in networks)
