"""Owns small networks inside this machine: namespaces, a public network, and NATs in front of it.

Linux and root only. Everything except one end of a cable is inside namespaces, firewalls too, and
disappears with them. Names contain the ID of their process, so that `remove_leftovers` finds what a
killed process left.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from voicecore.console.errors import VoicecoreError

PREFIX = "vcn"
SYMMETRIC = "--random-fully"
"""The iptables option that makes a NAT symmetric: a new port for each peer (RFC 4787), as AWS's NAT
gateway has. An address learned by STUN is then of no use."""
_NETWORKS = itertools.count()
_PUBLIC_SUBNETS = IPv4Network("198.18.0.0/15")  # reserved for tests of networks (RFC 2544)
_PRIVATE_SUBNET = IPv4Network("10.203.113.0/24")  # the same behind each NAT, as at home
_INSIDE, _ROUTER = str(_PRIVATE_SUBNET[2]), str(_PRIVATE_SUBNET[1])
_NETNS_SETTINGS = Path("/etc/netns")  # `ip netns exec` mounts its files over /etc (ip-netns(8))


class NetworkFailed(VoicecoreError):
    """The kernel refused to create a part of the network."""


@dataclass(frozen=True)
class NatRules:
    """The packets that a NAT lets through."""

    udp: bool = True
    """True when UDP passes; queries to `resolvers` always pass."""
    resolvers: tuple[str, ...] = ()
    no_udp_to: tuple[str, ...] = ()
    """Networks to which no UDP passes."""
    tcp_from: str | None = None
    """Address that may open TCP connections to the inside, at the NAT's own address."""


def firewall(rules: NatRules) -> list[str]:
    """Return the lines for iptables-restore."""
    lines = ["*nat", f"-A POSTROUTING -o public -j MASQUERADE {SYMMETRIC}"]
    if rules.tcp_from:
        lines += [f"-A PREROUTING -i public -s {rules.tcp_from} -p tcp -j DNAT --to {_INSIDE}"]
    # A NAT drops packets silently, where a host would answer "refused".
    lines += ["COMMIT", "*filter", ":FORWARD DROP", "-A INPUT -i public -j DROP"]
    for resolver in rules.resolvers:
        lines += [f"-A FORWARD -d {resolver} -p udp --dport 53 -j ACCEPT"]
        lines += [f"-A FORWARD -s {resolver} -p udp --sport 53 -j ACCEPT"]
    if not rules.udp:
        lines += ["-A FORWARD -p udp -j DROP"]
    lines += [f"-A FORWARD -d {network} -p udp -j DROP" for network in rules.no_udp_to]
    return [
        *lines,
        "-A FORWARD -i private -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT",
        "COMMIT",
    ]


@dataclass(frozen=True)
class Namespace:
    """A network namespace for the programs that run in it."""

    name: str

    def argv(self, *command: str) -> list[str]:
        """Return `command` as a command that runs inside; it keeps its process ID."""
        return ["ip", "netns", "exec", self.name, *command]


@dataclass(frozen=True)
class NatNetwork:
    """A namespace behind a NAT: it reaches the public network; see NatRules for the other way."""

    inside: Namespace
    router: Namespace
    address: str
    """The NAT's address on the public network."""

    def load(self, lines: Sequence[str]) -> None:
        """Replace the NAT's firewall atomically; connections that it still allows continue."""
        run(self.router.argv("iptables-restore"), "\n".join(lines) + "\n")


@dataclass
class PublicNetwork:
    """The public network: a bridge in a namespace, on which this machine has an address, too."""

    id: str
    subnet: IPv4Network
    bridge: Namespace
    cleanup: ExitStack = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(10), repr=False)

    @property
    def gateway(self) -> str:
        """The address of this machine, which is also the route to the rest of the internet."""
        return str(self.subnet[1])

    def add_host(self, name: str) -> tuple[Namespace, str]:
        """Create a namespace with an address on the public network, and return both."""
        namespace = self.cleanup.enter_context(_namespace(f"{self.id}-{name}"))
        number, bridge = next(self._numbers), self.bridge.name
        ip("link", "add", "public", "netns", namespace.name, "type", "veth",
           "peer", "name", f"to{number}", "netns", bridge)  # fmt: skip
        ip("-n", bridge, "link", "set", f"to{number}", "master", "bridge", "up")
        _set_address(namespace, "public", f"{self.subnet[number]}/24")
        # Without a route to a peer's private address, coturn ends the whole allocation.
        ip("-n", namespace.name, "route", "add", "default", "via", self.gateway)
        return namespace, str(self.subnet[number])

    def add_nat(self, name: str, rules: NatRules) -> NatNetwork:
        """Create a namespace `name` behind a NAT with these rules."""
        router, address = self.add_host(f"{name}nat")
        inside = self.cleanup.enter_context(_namespace(f"{self.id}-{name}", rules.resolvers))
        ip("link", "add", "private", "netns", router.name, "type", "veth",
           "peer", "name", "eth0", "netns", inside.name)  # fmt: skip
        _set_address(router, "private", f"{_ROUTER}/24")
        _set_address(inside, "eth0", f"{_INSIDE}/24")
        ip("-n", inside.name, "route", "add", "default", "via", _ROUTER)
        run(router.argv("sysctl", "-qw", "net.ipv4.ip_forward=1"))
        nat = NatNetwork(inside, router, address)
        nat.load(firewall(rules))
        return nat


@contextmanager
def public_network() -> Generator[PublicNetwork]:
    """Create a public network; when the block ends, its hosts and all their processes end, too.

    Raises NetworkFailed.
    """
    remove_leftovers()
    name = f"{PREFIX}{os.getpid()}-{next(_NETWORKS)}"
    subnet = _free_subnet()
    with ExitStack() as cleanup:
        bridge = cleanup.enter_context(_namespace(f"{name}-public"))
        ip("-n", bridge.name, "link", "add", "bridge", "type", "bridge")
        ip("-n", bridge.name, "link", "set", "bridge", "up")
        ip("link", "add", name, "type", "veth", "peer", "name", "here", "netns", bridge.name)
        # Explicitly: deleting only the namespace would remove the link some time later.
        cleanup.callback(ip, "link", "delete", name)
        # Packets to an unused address vanish, as on the internet; without this they are forwarded.
        Path(f"/proc/sys/net/ipv4/conf/{name}/forwarding").write_text("0")
        ip("-n", bridge.name, "link", "set", "here", "master", "bridge", "up")
        ip("address", "add", f"{subnet[1]}/24", "dev", name)
        ip("link", "set", name, "up")
        yield PublicNetwork(name, subnet, bridge, cleanup)


def remove_leftovers() -> None:
    """Delete the namespaces and links of killed processes."""
    for namespace in json.loads(ip("-json", "netns", "list") or "[]"):
        if is_leftover(namespace["name"]):
            _delete(Namespace(namespace["name"]))
    for link in json.loads(ip("-json", "link", "show", "type", "veth") or "[]"):
        if is_leftover(link.get("ifname", "")):
            with suppress(NetworkFailed):  # another process or the kernel deleted it just now
                ip("link", "delete", link["ifname"])


def is_leftover(name: str) -> bool:
    """Return whether this module chose the name in a process that has ended."""
    match = re.fullmatch(PREFIX + r"(\d+)-\d+(-\w+)?", name)
    return bool(match) and not Path(f"/proc/{match[1]}").exists()


def ip(*arguments: str) -> str:
    """Return the output of `ip`. Raises NetworkFailed."""
    return run(["ip", *arguments])


def run(argv: Sequence[str], text: str = "") -> str:
    """Return the output of a command that reads `text`. Raises NetworkFailed."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NetworkFailed(
            f"{' '.join(argv)} failed: {done.stderr.strip()}",
            "Run as root on a Linux kernel with namespaces, veth, bridges and iptables' NAT.",
        )
    return done.stdout


@contextmanager
def _namespace(name: str, resolvers: Sequence[str] = ()) -> Generator[Namespace]:
    ip("netns", "add", name)
    namespace = Namespace(name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        settings = _NETNS_SETTINGS / name
        settings.mkdir(parents=True, exist_ok=True)
        # Without resolvers, use one that refuses at once.
        lines = [f"nameserver {address}\n" for address in resolvers or ("127.0.0.1",)]
        (settings / "resolv.conf").write_text("".join(lines))
        yield namespace
    finally:
        _delete(namespace)


def _delete(namespace: Namespace) -> None:
    with suppress(NetworkFailed):  # another process deleted it just now
        for pid in ip("netns", "pids", namespace.name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "delete", namespace.name)
    shutil.rmtree(_NETNS_SETTINGS / namespace.name, ignore_errors=True)
    with suppress(OSError):  # it contains the settings of other namespaces
        _NETNS_SETTINGS.rmdir()


def _set_address(namespace: Namespace, device: str, address: str) -> None:
    ip("-n", namespace.name, "address", "add", address, "dev", device)
    ip("-n", namespace.name, "link", "set", device, "up")


def _free_subnet() -> IPv4Network:
    routes = json.loads(ip("-json", "-4", "route"))
    used = [ipaddress.ip_network(r["dst"]) for r in routes if r["dst"] != "default"]
    subnets = [s for s in _PUBLIC_SUBNETS.subnets(new_prefix=24) if not any(map(s.overlaps, used))]
    if not subnets:
        raise NetworkFailed(f"All of {_PUBLIC_SUBNETS} is in use.", "See the routes:  ip route")
    return random.choice(subnets)  # noqa: S311 - two processes that start at once should differ
