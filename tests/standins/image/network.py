"""The network of one Docker daemon: its bridge and firewall rules, removed after the run.

dockerd can create both, but does not remove them when it exits.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.standins.image.machine_settings import shared_setting

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_PREFIX = "vclab"


@dataclass(frozen=True)
class Bridge:
    """A network bridge."""

    name: str
    mtu: int
    """Largest packet that leaves this machine."""


@contextmanager
def bridge() -> Iterator[Bridge]:
    """Create a bridge whose containers can reach what this machine can reach (root)."""
    _remove_leftovers()
    subnet = _free_subnet()
    # Interface names have at most 15 characters. The process ID shows whether the run is over.
    name = f"{_PREFIX}{os.getpid()}-{random.randrange(36**2):x}"
    with ExitStack() as undo:
        undo.enter_context(shared_setting("ip_forward", _enable_forwarding, _FORWARD.write_text))
        _ip("link", "add", name, "type", "bridge")
        undo.callback(_ip, "link", "delete", name)
        _ip("address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", name)
        _ip("link", "set", name, "up")
        for table, chain, rule in rules(name, subnet):
            _iptables(table, "-I", chain, rule)
            undo.callback(_iptables, table, "-D", chain, rule)
        yield Bridge(name, _mtu())


@contextmanager
def extra_address() -> Iterator[str]:
    """Give this machine one more address, which containers can reach (root).

    It is not in 127.0.0.0/8: for hosts there, Docker falls back to HTTP if TLS fails.
    """
    _remove_leftovers()
    found = str(_free_subnet()[random.randint(1, 254)])
    _ip("address", "add", f"{found}/32", "dev", "lo", "label", f"lo:{_PREFIX}{os.getpid()}")
    try:
        yield found
    finally:
        _ip("address", "delete", f"{found}/32", "dev", "lo")


def rules(name: str, subnet: ipaddress.IPv4Network) -> list[tuple[str, str, list[str]]]:
    """Return firewall rules as (table, chain, rule); another engine may block forwarding."""
    mark = ["-m", "comment", "--comment", name]
    return [
        ("filter", "FORWARD", ["-i", name, *mark, "-j", "ACCEPT"]),
        ("filter", "FORWARD", ["-o", name, *mark, "-j", "ACCEPT"]),
        ("nat", "POSTROUTING", ["-s", str(subnet), "!", "-o", name, *mark, "-j", "MASQUERADE"]),
    ]


def _enable_forwarding() -> str:
    was = _FORWARD.read_text()
    _FORWARD.write_text("1")
    return was


def _remove_leftovers() -> None:
    """Remove addresses, bridges and rules of killed runs."""
    for entry in json.loads(_ip("-json", "-4", "address", "show", "dev", "lo"))[0]["addr_info"]:
        if is_leftover(entry["label"], "lo:"):
            _ip("address", "delete", f"{entry['local']}/32", "dev", "lo")
    for link in json.loads(_ip("-json", "link", "show", "type", "bridge") or "[]"):
        name = link.get("ifname", "")
        if not is_leftover(name):
            continue
        for table in ("filter", "nat"):
            listed = subprocess.run(
                ["iptables", "-w", "-t", table, "-S"], capture_output=True, text=True, check=True
            )
            for line in listed.stdout.splitlines():
                if f"--comment {name} " in line:
                    _iptables(table, "-D", "", line.split()[1:])
        _ip("link", "delete", name)


def is_leftover(name: str, prefix: str = "") -> bool:
    """Return whether a name belongs to a test run that is over."""
    found = re.fullmatch(prefix + _PREFIX + r"(\d+)(-\w+)*", name)
    return bool(found) and not Path(f"/proc/{found[1]}").exists()


def _free_subnet() -> ipaddress.IPv4Network:
    taken = [
        ipaddress.ip_network(route["dst"])
        for route in json.loads(_ip("-json", "-4", "route"))
        if route["dst"] != "default"
    ]
    while True:
        found = ipaddress.IPv4Network(
            (f"10.{random.randint(200, 250)}.{random.randrange(256)}.0", 24)
        )
        if not any(found.overlaps(each) for each in taken):
            return found


def _mtu() -> int:
    (route, *_) = json.loads(_ip("-json", "-4", "route", "show", "default")) or [{"dev": "lo"}]
    return min(1500, int(Path(f"/sys/class/net/{route['dev']}/mtu").read_text()))


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def _iptables(table: str, action: str, chain: str, rule: list[str]) -> None:
    where = [action, *filter(None, [chain])]
    subprocess.run(["iptables", "-w", "-t", table, *where, *rule], check=True)
