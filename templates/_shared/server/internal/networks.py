"""Owns the limits of networks: what each may do, and have in progress, in this process.

They hold for every request and connection, before anything else is done for it.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Sequence

# Connections of one network, and its requests in progress. A trusted proxy has no such limit.
CONNECTIONS = 256
# Networks that are counted in a minute; those after them share one limit.
NETWORKS = 65_536
MINUTE = 60


class PerMinute:
    """Counts what each network does in a minute, in this process alone."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def allows(self, network: str) -> bool:
        """Count one more for this network; return False if it is too many."""
        minute = int(time.time()) // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        if network not in self._counts and len(self._counts) >= NETWORKS:
            network = "others"
        self._counts[network] += 1
        return self._counts[network] <= self.most


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


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Return True if one of the networks has this address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(network) for network in networks)
