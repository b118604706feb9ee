"""Owns NATs that tests change while they run: cone NATs, lost packets, blocked UDP."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from voicecore.local.network.namespaces import (
    SYMMETRIC,
    NatNetwork,
    NatRules,
    PublicNetwork,
    firewall,
)


class NatType(StrEnum):
    """Which port a peer sees behind the NAT (the mapping behaviors of RFC 4787)."""

    SYMMETRIC = "symmetric"
    """A new port for each peer, as AWS's NAT gateway has; the product's NAT."""
    CONE = "cone"
    """The same port for all peers, as most home routers have."""


@dataclass(frozen=True)
class LabRules(NatRules):
    """The product's rules, with the NAT's type and packet loss."""

    type: NatType = NatType.SYMMETRIC
    loss: float = 0.0
    """Share of packets lost, in each direction."""


def lab_firewall(rules: LabRules) -> list[str]:
    """Return the lines for iptables-restore."""
    lines = firewall(rules)
    if rules.type is NatType.CONE:
        lines = [line.removesuffix(f" {SYMMETRIC}") for line in lines]
    if rules.loss:
        chance = f"-m statistic --mode random --probability {rules.loss:.6f}"
        start = lines.index("*filter")
        first_rule = next(n for n in range(start, len(lines)) if lines[n].startswith("-A FORWARD"))
        lines.insert(first_rule, f"-A FORWARD {chance} -j DROP")
    return lines


@dataclass
class LabNat:
    """A NAT of the lab, with the rules that it has now."""

    network: NatNetwork
    rules: LabRules

    @property
    def address(self) -> str:
        """The NAT's address on the public network."""
        return self.network.address

    def apply(self, rules: LabRules) -> None:
        """Replace the rules."""
        self.network.load(lab_firewall(rules))
        self.rules = rules

    @contextmanager
    def applied(self, rules: LabRules) -> Generator[None]:
        """Use other rules while the block runs."""
        before = self.rules
        self.apply(rules)
        try:
            yield
        finally:
            self.apply(before)

    def udp_blocked(self) -> AbstractContextManager[None]:
        """Block UDP while the block runs."""
        return self.applied(replace(self.rules, udp=False))

    def lossy(self, share: float) -> AbstractContextManager[None]:
        """Lose a share of all packets, in each direction, while the block runs."""
        return self.applied(replace(self.rules, loss=share))

    def symmetric(self) -> AbstractContextManager[None]:
        """Be a symmetric NAT while the block runs."""
        return self.applied(replace(self.rules, type=NatType.SYMMETRIC))


def add_lab_nat(public: PublicNetwork, name: str, rules: LabRules) -> LabNat:
    """Create a namespace `name` behind a NAT with these rules."""
    nat = LabNat(public.add_nat(name, rules), rules)
    nat.apply(rules)
    return nat
