"""Owns a network like that of AgentCore's containers: only IPv6, and NAT64 to reach IPv4.

Tayga translates; the rest is the NAT lab in tests/standins/nat.
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

from tests.requirements import require
from tests.standins.models.certificates import make_certificates
from tests.standins.nat.lab import NatLab, nat_lab, resolve
from voicecore.local.network.namespaces import Namespace, ip, run

# Not the well-known 64:ff9b::/96: with it, Tayga refuses addresses reserved for tests.
PREFIX = ipaddress.IPv6Address("2001:db8:64::")
OWN, GATEWAY = "2001:db8:1::2", "2001:db8:1::1"
POOL = "192.168.255.0/24"  # behind the gateway's own NAT: one address for each translated address
GS = "gs.daily.co"
_START_SECONDS = 60


@dataclass
class Ipv6Container:
    """The inside of that network."""

    net: NatLab
    inside: Namespace
    trust: Path
    servers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The ICE servers in Daily's answer."""
    names: dict[str, str] = field(default_factory=dict[str, str])

    def resolve(self, **names: str) -> None:
        """Resolve `<name>.lab` to the translation of this IPv4 address, as DNS64 does."""
        self.names |= {f"{name}.lab": translated(address) for name, address in names.items()}
        resolve(self.inside, self.names)

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command there; what it prints is in the result."""
        trusting = self.net.agent.env(SSL_CERT_FILE=str(self.trust), **env)
        argv = self.inside.argv(*command)
        return subprocess.run(argv, capture_output=True, text=True, timeout=300, env=trusting)


def translated(address: str) -> str:
    """Return the IPv6 address that is translated to an IPv4 address (RFC 6052)."""
    return str(PREFIX + int(ipaddress.IPv4Address(address)))


@contextmanager
def ipv6_container(folder: Path) -> Iterator[Ipv6Container]:
    """Create the network (root), with coturn as Daily's TURN server and Daily's API for it."""
    require("tayga")
    with ExitStack() as cleanup:
        net = cleanup.enter_context(nat_lab())
        gateway, _ = net.public.add_host("gateway")
        inside, _ = net.public.add_host("ipv6only")
        ip("-n", inside.name, "link", "delete", "public")
        ip("link", "add", "eth0", "netns", inside.name, "type", "veth",
           "peer", "name", "inside", "netns", gateway.name)  # fmt: skip
        for place, device, address in ((inside, "eth0", OWN), (gateway, "inside", GATEWAY)):
            ip("-n", place.name, "address", "add", f"{address}/64", "dev", device, "nodad")
            ip("-n", place.name, "link", "set", device, "up")
        ip("-n", inside.name, "-6", "route", "add", "default", "via", GATEWAY)
        cleanup.enter_context(_nat64(gateway, folder))
        certificates = make_certificates(folder, [GS])
        container = Ipv6Container(net, inside, certificates.authority)
        container.names[GS] = translated(net.public.gateway)
        container.resolve(turn=net.turn.address, silent=net.silent_address)
        cleanup.enter_context(_daily_api(container, certificates.chain, certificates.key))
        yield container


@contextmanager
def _nat64(gateway: Namespace, folder: Path) -> Iterator[None]:
    settings = folder / "tayga.conf"
    settings.write_text(
        f"tun-device nat64\nipv4-addr 192.168.255.1\nprefix {PREFIX}/96\n"
        f"dynamic-pool {POOL}\ndata-dir {folder}\n"
    )
    tayga = ["tayga", "--config", str(settings)]
    run(gateway.argv("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"))
    run(gateway.argv(*tayga, "--mktun"))
    ip("-n", gateway.name, "link", "set", "nat64", "up")
    ip("-n", gateway.name, "route", "add", POOL, "dev", "nat64")
    ip("-n", gateway.name, "-6", "route", "add", f"{PREFIX}/96", "dev", "nat64")
    run(
        gateway.argv(
            "iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "public", "-j", "MASQUERADE"
        )
    )
    with (folder / "tayga.log").open("wb") as log:
        process = subprocess.Popen(gateway.argv(*tayga, "--nodetach"), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_SECONDS
        # The device has a carrier once Tayga has opened it.
        while "LOWER_UP" not in ip("-n", gateway.name, "link", "show", "nat64"):
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, (folder / "tayga.log").read_text()
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _daily_api(container: Ipv6Container, chain: Path, key: Path) -> Iterator[None]:
    class Rooms(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/rooms/ice/lab/room"
            body = json.dumps(
                {"iceConfig": {"iceServers": container.servers}} if known else {}
            ).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)
    with ThreadingHTTPServer((container.net.public.gateway, 443), Rooms) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield
        server.shutdown()
