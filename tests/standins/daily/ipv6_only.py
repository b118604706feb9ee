"""A network like that of AgentCore's containers: IPv6 alone, and NAT64 to reach IPv4 by.

The translation is Tayga's, the rest is the lab of networks in tests/standins/nat.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.standins.models.certificates import make_certificates
from tests.standins.nat.lab import NatLab, know, lab
from voicecore.local.network.namespaces import Namespace, ip, run

# Not the well-known 64:ff9b::/96, by which Tayga reaches no addresses that are for tests only.
PREFIX = ipaddress.IPv6Address("2001:db8:64::")
OWN, GATE = "2001:db8:1::2", "2001:db8:1::1"
POOL = "192.168.255.0/24"  # behind the gate's own NAT: one address for each translated one
GS = "gs.daily.co"
_START_SECONDS = 10


@dataclass
class Container:
    """The inside of that network."""

    net: NatLab
    inside: Namespace
    trust: Path
    servers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The ICE servers of which Daily tells."""
    names: dict[str, str] = field(default_factory=dict[str, str])

    def know(self, **names: str) -> None:
        """Make `<name>.lab` lead to this IPv4 address, as DNS64 does: by one that is translated."""
        self.names |= {f"{name}.lab": translated(address) for name, address in names.items()}
        know(self.inside, self.names)

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command there; what it prints is in the result."""
        trusting = self.net.agent.env(SSL_CERT_FILE=str(self.trust), **env)
        argv = self.inside.argv(*command)
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=trusting)


def translated(address: str) -> str:
    """The IPv6 address that leads to an IPv4 one (RFC 6052)."""
    return str(PREFIX + int(ipaddress.IPv4Address(address)))


@contextmanager
def container(folder: Path) -> Iterator[Container]:
    """Lay it out (root), with coturn as Daily's TURN server, and who tells of it."""
    with ExitStack() as undo:
        net = undo.enter_context(lab())
        gate, _ = net.street.dweller("gate")
        inside, _ = net.street.dweller("ipv6only")
        ip("-n", inside.name, "link", "delete", "street")
        ip("link", "add", "eth0", "netns", inside.name, "type", "veth",
           "peer", "name", "inside", "netns", gate.name)  # fmt: skip
        for place, device, address in ((inside, "eth0", OWN), (gate, "inside", GATE)):
            ip("-n", place.name, "address", "add", f"{address}/64", "dev", device, "nodad")
            ip("-n", place.name, "link", "set", device, "up")
        ip("-n", inside.name, "-6", "route", "add", "default", "via", GATE)
        undo.enter_context(_nat64(gate, folder))
        certificates = make_certificates(folder, [GS])
        made = Container(net, inside, certificates.authority)
        made.names[GS] = translated(net.street.here)
        made.know(turn=net.turn.address, nobody=net.nobody)
        undo.enter_context(_gs(made, certificates.chain, certificates.key))
        yield made


@contextmanager
def _nat64(gate: Namespace, folder: Path) -> Iterator[None]:
    settings = folder / "tayga.conf"
    settings.write_text(
        f"tun-device nat64\nipv4-addr 192.168.255.1\nprefix {PREFIX}/96\n"
        f"dynamic-pool {POOL}\ndata-dir {folder}\n"
    )
    tayga = ["tayga", "--config", str(settings)]
    run(gate.argv("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"))
    run(gate.argv(*tayga, "--mktun"))
    ip("-n", gate.name, "link", "set", "nat64", "up")
    ip("-n", gate.name, "route", "add", POOL, "dev", "nat64")
    ip("-n", gate.name, "-6", "route", "add", f"{PREFIX}/96", "dev", "nat64")
    run(gate.argv("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "street", "-j", "MASQUERADE"))
    with (folder / "tayga.log").open("wb") as log:
        process = subprocess.Popen(gate.argv(*tayga, "--nodetach"), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_SECONDS
        # It has the device when that has a carrier.
        while "LOWER_UP" not in ip("-n", gate.name, "link", "show", "nat64"):
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, (folder / "tayga.log").read_text()
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _gs(made: Container, chain: Path, key: Path) -> Iterator[None]:
    class Rooms(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/rooms/ice/lab/room"
            body = json.dumps({"iceConfig": {"iceServers": made.servers}} if known else {}).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)
    with ThreadingHTTPServer((made.net.street.here, 443), Rooms) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield
        server.shutdown()
