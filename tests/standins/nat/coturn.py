"""Owns the coturn of the NAT lab: the product's, with TLS, fixed credentials, and more ports."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.requirements import require
from voicecore.local.network import coturn
from voicecore.local.network.namespaces import Namespace

TLS_PORT = 5349
START_SECONDS = 60


@dataclass(frozen=True)
class TurnCredentials:
    """Credentials of a TURN client."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class LabTurnServer:
    """One coturn of the lab."""

    address: str
    secret: str = field(default="", repr=False)
    """Signs credentials that expire."""
    credentials: TurnCredentials | None = None
    """The only credentials, which do not expire; they replace `secret`."""
    certificate: Path | None = None
    """PEM file with the certificate chain; with it and `key`, the server also offers TLS."""
    key: Path | None = None
    more_ports: tuple[int, ...] = ()
    """Additional ports, each for UDP, TCP and TLS."""

    @property
    def udp(self) -> str:
        """The TURN URI over UDP."""
        return f"turn:{self.address}:{coturn.PORT}?transport=udp"

    @property
    def tcp(self) -> str:
        """The TURN URI over TCP."""
        return f"turn:{self.address}:{coturn.PORT}?transport=tcp"

    @property
    def tls(self) -> str:
        """The TURN URI over TLS."""
        return f"turns:{self.address}:{TLS_PORT}?transport=tcp"

    @property
    def stun(self) -> str:
        """The STUN URI."""
        return f"stun:{self.address}:{coturn.PORT}"

    @property
    def uris(self) -> tuple[str, ...]:
        """All TURN URIs, fastest first."""
        return (self.udp, self.tcp, self.tls) if self.certificate else (self.udp, self.tcp)


def config(server: LabTurnServer, folder: Path) -> list[str]:
    """Return the lines of turnserver.conf."""
    lines = coturn.base_config(server.address, folder)
    lines += [f"tls-listening-port={TLS_PORT}"]
    lines += [f"aux-server={server.address}:{port}" for port in server.more_ports]
    if server.certificate and server.key:
        lines += [f"cert={server.certificate}", f"pkey={server.key}"]
    else:
        lines += ["no-tls"]
    if server.secret:
        lines += ["use-auth-secret", f"static-auth-secret={server.secret}"]
    if server.credentials:
        user = f"{server.credentials.username}:{server.credentials.password}"
        lines += ["lt-cred-mech", f"user={user}"]
    return lines


@contextmanager
def running(
    place: Namespace, server: LabTurnServer, folder: Path, ahead: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    """Run coturn in `place` while the block runs; its clock is `ahead` by so many seconds."""
    if ahead:
        require("faketime")
    own = folder / server.address
    own.mkdir()
    clock = ["faketime", "-f", f"+{ahead}s"] if ahead else []
    argv = place.argv(*clock, *coturn.write_config(config(server, own), own))
    with (own / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(server, process, own / "log")
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for(server: LabTurnServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not coturn.answers_stun(server.address, 0.02):
        alive = process.poll() is None and time.monotonic() < deadline
        assert alive, f"coturn does not answer:\n{log.read_text()}"
        time.sleep(0.01)
