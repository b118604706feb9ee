"""The internet between a caller and an agent, as small as it can be: NATs, TURN, a door for HTTP.

It stands on what `voicecore dev --nat` stands on; the kernel's NAT and coturn are real.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.standins.models.certificates import Certificates, make_certificates
from voicecore.local.network import coturn
from voicecore.local.network.coturn import Login
from voicecore.local.network.namespaces import House, Namespace, Nat, Rules, Street, street

SECRET = "what KVS and its relays know"
NAMES = (
    "rtc.live.cloudflare.com",
    "turn.cloudflare.com",
    "api.twilio.com",
    "global.turn.twilio.com",
)
"""Whom the lab's certificate speaks for: providers, and their relays."""
_START_SECONDS = 10


@dataclass(frozen=True)
class Place:
    """One side's network: programs run in it, and its NAT does as it is told."""

    house: House
    trust: Path

    def argv(self, *command: str) -> list[str]:
        """Returns `command`, to be run there."""
        return self.house.inside.argv(*command)

    def run(self, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command there; what it prints is in the result."""
        options = {"capture_output": True, "text": True, "timeout": 60, "env": self.env(), **more}
        return subprocess.run(self.argv(*command), **options)

    @contextmanager
    def started(self, *command: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
        """Runs a command there until the block ends."""
        with subprocess.Popen(
            self.argv(*command), text=True, **{"env": self.env(), **more}
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def know(self, names: Mapping[str, str]) -> None:
        """Makes these host names lead to these addresses there; all others lead nowhere."""
        know(self.house.inside, names)

    def env(self, **more: str) -> dict[str, str]:
        """Returns this process's environment, and trust in the relay's certificate."""
        return {**os.environ, "SSL_CERT_FILE": str(self.trust), **more}


@dataclass
class NatLab:
    """Two places behind NATs, and a relay and this machine on the street between them."""

    street: Street
    agent: Place
    client: Place
    turn: coturn.Server
    """KVS's kind: its logins end."""
    certificates: Certificates
    folder: Path
    _undo: ExitStack = field(repr=False)

    def login(self, seconds: float = 300, user: str = "lab") -> Login:
        """A login for `turn`; over already, when `seconds` are negative."""
        # The "TURN REST API" of draft-uberti-behave-turn-rest.
        username = f"{int(time.time() + seconds)}:{user}"
        digest = hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()
        return Login(username, base64.b64encode(digest).decode())

    def server(self, uri: str, login: Login | None = None) -> dict[str, str]:
        """An ICE server as browsers, aiortc and Pipecat take it."""
        login = login or self.login()
        return {"urls": uri, "username": login.username, "credential": login.password}

    @property
    def nobody(self) -> str:
        """An address from which no answer comes."""
        return str(self.street.subnet[250])

    def another_turn(
        self, login: Login | None = None, ahead: int = 0
    ) -> tuple[coturn.Server, subprocess.Popen[bytes]]:
        """One more coturn, and its process: kill it, and it is gone.

        With a `login` it takes no other; its clock is `ahead` by so many seconds.
        """
        place, address = self.street.dweller(f"turn{len(list(self.folder.iterdir()))}")
        server = coturn.Server(address, login=login, secret="" if login else SECRET)
        return server, self._undo.enter_context(_serving(place, server, self.folder, ahead))

    @contextmanager
    def slow_stun(self, seconds: float) -> Iterator[str]:
        """The URI of a STUN server on this machine that takes its time."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.bind((self.street.here, 0))
            thread = threading.Thread(target=_answer_slowly, args=(listening, seconds), daemon=True)
            thread.start()
            yield "stun:{}:{}".format(*listening.getsockname())
            listening.sendto(b"", listening.getsockname())  # the thread takes it for the end
            thread.join()


@contextmanager
def lab(agent: str = "symmetric", client: str = "cone") -> Iterator[NatLab]:
    """Lays it all out (root). Each side is "symmetric", "cone" or "udp-blocked"."""
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="voicecore-nat-")))
        road = undo.enter_context(street())
        # AgentCore's front door: HTTP from this machine, where session server and runtime are.
        inner = road.house("agent", replace(_rules(agent), door=road.here))
        outer = road.house("client", _rules(client))
        place, address = road.dweller("turn")
        certificates = make_certificates(folder, [address, *NAMES])
        # 443 and 53 as KVS and Cloudflare have them.
        server = coturn.Server(
            address, SECRET, chain=certificates.chain, key=certificates.key, also=(53, 443)
        )
        undo.enter_context(_serving(place, server, folder))
        trust = certificates.authority
        yield NatLab(
            road, Place(inner, trust), Place(outer, trust), server, certificates, folder, undo
        )


def know(place: Namespace, names: Mapping[str, str]) -> None:
    """Makes host names lead to addresses in a namespace, for programs that start from now on."""
    text = "".join(f"{address} {name}\n" for name, address in names.items())
    (Path("/etc/netns") / place.name / "hosts").write_text(text)


def _rules(kind: str) -> Rules:
    return Rules(Nat.CONE, udp=False) if kind == "udp-blocked" else Rules(Nat(kind))


@contextmanager
def _serving(
    place: Namespace, server: coturn.Server, folder: Path, ahead: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    own = folder / server.address
    own.mkdir()
    clock = ["faketime", "-f", f"+{ahead}s"] if ahead else []
    argv = place.argv(*clock, *coturn.argv(server, own))
    with (own / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(server, process, own / "log")
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for(server: coturn.Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not coturn.answers(server, 0.02):
        alive = process.poll() is None and time.monotonic() < deadline
        assert alive, f"coturn does not answer:\n{log.read_text()}"
        time.sleep(0.01)


def _answer_slowly(listening: socket.socket, seconds: float) -> None:
    while True:
        request, sender = listening.recvfrom(1500)
        if not request:
            return
        time.sleep(seconds)
        # A success response, and no more than that (RFC 8489, 5): it is late anyhow.
        listening.sendto(b"\x01\x01\x00\x00" + request[4:20], sender)
