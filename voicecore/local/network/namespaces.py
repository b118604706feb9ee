"""Small networks inside this machine: namespaces, a street they meet in, and NATs between them.

Linux and root only. All of it but one end of a cable is inside namespaces, firewalls too, and goes
with them. Names tell the process they belong to, by which `sweep` finds what a killed one left.
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
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path

from voicecore.console.errors import VoicecoreError

PREFIX = "vcn"
_NETWORKS = itertools.count()
_STREETS = IPv4Network("198.18.0.0/15")  # nobody's: for tests of networks (RFC 2544)
_HOUSE = IPv4Network("10.203.113.0/24")  # the same behind each NAT, as at home
_INSIDE, _ROUTER = str(_HOUSE[2]), str(_HOUSE[1])
_SETTINGS = Path("/etc/netns")  # what `ip netns exec` lays over /etc (ip-netns(8))


class NetworkFailed(VoicecoreError):
    """The kernel would not make a part of the network."""


class Nat(StrEnum):
    """How a NAT chooses the port that a peer sees (RFC 4787's mapping behaviours)."""

    SYMMETRIC = "symmetric"
    """Another for each peer, as AWS's NAT gateway: an address learned by STUN is of no use."""
    CONE = "cone"
    """The same for all peers, as most routers at home."""


@dataclass(frozen=True)
class Rules:
    """What a NAT does with packets."""

    nat: Nat = Nat.SYMMETRIC
    udp: bool = True
    """Whether UDP passes; questions to `resolvers` always do."""
    resolvers: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    """Networks to which no UDP passes."""
    door: str | None = None
    """Who may open TCP connections to the inside, at the NAT's own address."""
    loss: float = 0.0
    """The share of packets that is lost, in each direction."""


def firewall(rules: Rules, inside: str) -> str:
    """The rules as iptables-restore reads them; `inside` is the address behind the NAT."""
    spread = " --random-fully" if rules.nat is Nat.SYMMETRIC else ""
    lines = ["*nat", f"-A POSTROUTING -o street -j MASQUERADE{spread}"]
    if rules.door:
        lines += [f"-A PREROUTING -i street -s {rules.door} -p tcp -j DNAT --to {inside}"]
    # A NAT is silent about what it does not let in, where a host would say "refused".
    lines += ["COMMIT", "*filter", ":FORWARD DROP", "-A INPUT -i street -j DROP"]
    if rules.loss:
        dice = f"-m statistic --mode random --probability {rules.loss:.6f}"
        lines += [f"-A FORWARD {dice} -j DROP"]
    for resolver in rules.resolvers:
        lines += [f"-A FORWARD -d {resolver} -p udp --dport 53 -j ACCEPT"]
        lines += [f"-A FORWARD -s {resolver} -p udp --sport 53 -j ACCEPT"]
    if not rules.udp:
        lines += ["-A FORWARD -p udp -j DROP"]
    lines += [f"-A FORWARD -d {network} -p udp -j DROP" for network in rules.closed]
    lines += [
        "-A FORWARD -i house -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT",
        "COMMIT",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Namespace:
    """A network of its own for the programs that run in it."""

    name: str

    def argv(self, *command: str) -> list[str]:
        """`command`, to be run inside; it keeps its process id."""
        return ["ip", "netns", "exec", self.name, *command]


@dataclass
class House:
    """A namespace behind a NAT: it reaches the street, which reaches it by the door only."""

    inside: Namespace
    router: Namespace
    address: str
    """The NAT's, on the street."""
    rules: Rules

    def follow(self, rules: Rules) -> None:
        """Go by other rules from now on, all at once; what flows and may flow goes on."""
        run(self.router.argv("iptables-restore"), firewall(rules, _INSIDE))
        self.rules = rules

    @contextmanager
    def following(self, rules: Rules) -> Generator[None]:
        """Go by other rules while the block runs."""
        before = self.rules
        self.follow(rules)
        try:
            yield
        finally:
            self.follow(before)

    def udp_blocked(self) -> AbstractContextManager[None]:
        """Let no UDP through while the block runs."""
        return self.following(replace(self.rules, udp=False))

    def lossy(self, share: float) -> AbstractContextManager[None]:
        """Lose a share of all packets, in each direction, while the block runs."""
        return self.following(replace(self.rules, loss=share))


@dataclass
class Street:
    """The public network: a bridge in a namespace, on which this machine has an address, too."""

    id: str
    subnet: IPv4Network
    bridge: Namespace
    undo: ExitStack = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(10), repr=False)

    @property
    def here(self) -> str:
        """The address of this machine, which is everybody's way to the rest of the world, too."""
        return str(self.subnet[1])

    def dweller(self, name: str) -> tuple[Namespace, str]:
        """A namespace with an address on the street, and that address."""
        namespace = self.undo.enter_context(_namespace(f"{self.id}-{name}"))
        number, street = next(self._numbers), self.bridge.name
        ip("link", "add", "street", "netns", namespace.name, "type", "veth",
           "peer", "name", f"to{number}", "netns", street)  # fmt: skip
        ip("-n", street, "link", "set", f"to{number}", "master", "bridge", "up")
        _address(namespace, "street", f"{self.subnet[number]}/24")
        # Without a route to a peer's private address coturn gives up the whole allocation.
        ip("-n", namespace.name, "route", "add", "default", "via", self.here)
        return namespace, str(self.subnet[number])

    def house(self, name: str, rules: Rules) -> House:
        """A namespace `name` behind a NAT."""
        router, address = self.dweller(f"{name}nat")
        inside = self.undo.enter_context(_namespace(f"{self.id}-{name}", rules.resolvers))
        ip("link", "add", "house", "netns", router.name, "type", "veth",
           "peer", "name", "eth0", "netns", inside.name)  # fmt: skip
        _address(router, "house", f"{_ROUTER}/24")
        _address(inside, "eth0", f"{_INSIDE}/24")
        ip("-n", inside.name, "route", "add", "default", "via", _ROUTER)
        run(router.argv("sysctl", "-qw", "net.ipv4.ip_forward=1"))
        house = House(inside, router, address, rules)
        house.follow(rules)
        return house


@contextmanager
def street() -> Generator[Street]:
    """Lay out a street; whoever moved in leaves with it, and all their processes end.

    Raises NetworkFailed.
    """
    sweep()
    name = f"{PREFIX}{os.getpid()}-{next(_NETWORKS)}"
    subnet = _free_subnet()
    with ExitStack() as undo:
        bridge = undo.enter_context(_namespace(f"{name}-street"))
        ip("-n", bridge.name, "link", "add", "bridge", "type", "bridge")
        ip("-n", bridge.name, "link", "set", "bridge", "up")
        ip("link", "add", name, "type", "veth", "peer", "name", "here", "netns", bridge.name)
        # Explicitly: with the namespace alone it would go a while later.
        undo.callback(ip, "link", "delete", name)
        # What is sent to nobody's address vanishes, as on the internet; it is not passed on.
        Path(f"/proc/sys/net/ipv4/conf/{name}/forwarding").write_text("0")
        ip("-n", bridge.name, "link", "set", "here", "master", "bridge", "up")
        ip("address", "add", f"{subnet[1]}/24", "dev", name)
        ip("link", "set", name, "up")
        yield Street(name, subnet, bridge, undo)


def sweep() -> None:
    """Take away what killed runs have left."""
    for namespace in json.loads(ip("-json", "netns", "list") or "[]"):
        if is_left(namespace["name"]):
            _delete(Namespace(namespace["name"]))
    for link in json.loads(ip("-json", "link", "show", "type", "veth") or "[]"):
        if is_left(link.get("ifname", "")):
            with suppress(NetworkFailed):  # another run sweeps, too, or the kernel has just now
                ip("link", "delete", link["ifname"])


def is_left(name: str) -> bool:
    """Whether a name is one that a run gave to something of its own, and that run is over."""
    found = re.fullmatch(PREFIX + r"(\d+)-\d+(-\w+)?", name)
    return bool(found) and not Path(f"/proc/{found[1]}").exists()


def ip(*arguments: str) -> str:
    """What `ip` answers. Raises NetworkFailed."""
    return run(["ip", *arguments])


def run(argv: Sequence[str], text: str = "") -> str:
    """The output of a command that is given `text`. Raises NetworkFailed."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NetworkFailed(
            f"{' '.join(argv)} failed: {done.stderr.strip()}",
            "It needs a Linux kernel with namespaces, veth, bridges and iptables' NAT, and root.",
        )
    return done.stdout


@contextmanager
def _namespace(name: str, resolvers: Sequence[str] = ()) -> Generator[Namespace]:
    ip("netns", "add", name)
    namespace = Namespace(name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        settings = _SETTINGS / name
        settings.mkdir(parents=True, exist_ok=True)
        # Without a resolver, one that refuses at once.
        lines = [f"nameserver {address}\n" for address in resolvers or ("127.0.0.1",)]
        (settings / "resolv.conf").write_text("".join(lines))
        yield namespace
    finally:
        _delete(namespace)


def _delete(namespace: Namespace) -> None:
    with suppress(NetworkFailed):  # another run sweeps, too
        for pid in ip("netns", "pids", namespace.name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "delete", namespace.name)
    shutil.rmtree(_SETTINGS / namespace.name, ignore_errors=True)
    with suppress(OSError):  # others' settings are in it
        _SETTINGS.rmdir()


def _address(namespace: Namespace, device: str, address: str) -> None:
    ip("-n", namespace.name, "address", "add", address, "dev", device)
    ip("-n", namespace.name, "link", "set", device, "up")


def _free_subnet() -> IPv4Network:
    routes = json.loads(ip("-json", "-4", "route"))
    taken = [ipaddress.ip_network(r["dst"]) for r in routes if r["dst"] != "default"]
    subnets = [s for s in _STREETS.subnets(new_prefix=24) if not any(map(s.overlaps, taken))]
    if not subnets:
        raise NetworkFailed(f"All of {_STREETS} is taken.", "Look who has it:  ip route")
    return random.choice(subnets)  # noqa: S311 - no secret: two that start at once should differ
