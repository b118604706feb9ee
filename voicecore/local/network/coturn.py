"""Owns coturn, the TURN server of Debian and Homebrew: its configuration, URIs and health check."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = "turnserver"
PORT = 3478


@dataclass(frozen=True)
class CoturnServer:
    """One coturn: its address, and the secret that signs expiring credentials."""

    address: str
    secret: str = field(repr=False)

    @property
    def udp(self) -> str:
        """The TURN URI over UDP."""
        return f"turn:{self.address}:{PORT}?transport=udp"

    @property
    def tcp(self) -> str:
        """The TURN URI over TCP."""
        return f"turn:{self.address}:{PORT}?transport=tcp"

    @property
    def uris(self) -> tuple[str, ...]:
        """All TURN URIs, fastest first."""
        return (self.udp, self.tcp)


def config(server: CoturnServer, folder: Path) -> list[str]:
    """Return the lines of turnserver.conf; coturn keeps its own files in `folder`."""
    return [
        *base_config(server.address, folder),
        "no-tls",
        "use-auth-secret",
        f"static-auth-secret={server.secret}",
    ]


def base_config(address: str, folder: Path) -> list[str]:
    """Return the lines of turnserver.conf without credentials and TLS."""
    return [
        f"listening-ip={address}",
        f"relay-ip={address}",
        f"listening-port={PORT}",
        "realm=voicecore",
        "fingerprint",
        "no-cli",
        "no-multicast-peers",
        "no-dtls",
        "log-file=stdout",
        f"pidfile={folder / 'turnserver.pid'}",
        f"userdb={folder / 'turndb'}",
    ]


def write_config(lines: Sequence[str], folder: Path) -> list[str]:
    """Write turnserver.conf into `folder`, readable by its owner, and return coturn's command."""
    file = folder / "turnserver.conf"
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")
    return [PROGRAM, "-c", str(file)]


def answers_stun(address: str, seconds: float) -> bool:
    """Return whether coturn answers STUN within `seconds`; it starts UDP last."""
    request = struct.pack("!HHI", 1, 0, 0x2112A442) + secrets.token_bytes(12)  # RFC 8489, 5
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        try:
            client.connect((address, PORT))
            client.send(request)
            return bool(client.recv(1500))
        except OSError:
            return False
