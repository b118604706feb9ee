"""coturn, the TURN server of Debian and Homebrew: its settings, credentials and addresses."""

from __future__ import annotations

import secrets
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = "turnserver"
PORT, TLS_PORT = 3478, 5349


@dataclass(frozen=True)
class Login:
    """What a TURN client shows."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Server:
    """One coturn: where it listens, and whom it lets in."""

    address: str
    secret: str = field(default="", repr=False)
    """For logins that end; with it, no others count."""
    login: Login | None = None
    """The one login that does not end."""
    chain: Path | None = None
    """The certificate, PEM, and `key` its key: with them it takes TLS, too."""
    key: Path | None = None
    also: tuple[int, ...] = ()
    """More ports, each for all of UDP, TCP and TLS."""

    @property
    def udp(self) -> str:
        """The URI by UDP."""
        return f"turn:{self.address}:{PORT}?transport=udp"

    @property
    def tcp(self) -> str:
        """The URI by TCP."""
        return f"turn:{self.address}:{PORT}?transport=tcp"

    @property
    def tls(self) -> str:
        """The URI by TLS."""
        return f"turns:{self.address}:{TLS_PORT}?transport=tcp"

    @property
    def stun(self) -> str:
        """Where it tells clients their address."""
        return f"stun:{self.address}:{PORT}"

    @property
    def uris(self) -> tuple[str, ...]:
        """All its TURN URIs, the quickest first."""
        return (self.udp, self.tcp, self.tls) if self.chain else (self.udp, self.tcp)


def settings(server: Server, folder: Path) -> str:
    """The configuration file; what coturn keeps is kept in `folder`."""
    lines = [
        f"listening-ip={server.address}",
        f"relay-ip={server.address}",
        f"listening-port={PORT}",
        f"tls-listening-port={TLS_PORT}",
        "realm=voicecore",
        "fingerprint",
        "no-cli",
        "no-multicast-peers",
        "no-dtls",
        "log-file=stdout",
        f"pidfile={folder / 'turnserver.pid'}",
        f"userdb={folder / 'turndb'}",
    ]
    lines += [f"aux-server={server.address}:{port}" for port in server.also]
    if server.chain and server.key:
        lines += [f"cert={server.chain}", f"pkey={server.key}"]
    else:
        lines += ["no-tls"]
    if server.secret:
        lines += ["use-auth-secret", f"static-auth-secret={server.secret}"]
    if server.login:
        lines += ["lt-cred-mech", f"user={server.login.username}:{server.login.password}"]
    return "\n".join(lines) + "\n"


def argv(server: Server, folder: Path) -> list[str]:
    """Write the settings into `folder`, for its owner's eyes, and return how coturn is started."""
    file = folder / "turnserver.conf"
    file.touch(mode=0o600)
    file.write_text(settings(server, folder))
    return [PROGRAM, "-c", str(file)]


def answers(server: Server, seconds: float) -> bool:
    """Whether it answers a STUN question within so many seconds; UDP is what it serves last."""
    question = struct.pack("!HHI", 1, 0, 0x2112A442) + secrets.token_bytes(12)  # RFC 8489, 5
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(seconds)
        try:
            asking.connect((server.address, PORT))
            asking.send(question)
            return bool(asking.recv(1500))
        except OSError:
            return False
