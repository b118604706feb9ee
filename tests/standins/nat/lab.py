"""Owns a small internet between a caller and an agent: two NATs, TURN, and a route for HTTP.

It uses the network of `voicecore dev --nat`; the kernel's NAT and coturn are real.
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

from tests.requirements import require
from tests.standins.models.certificates import Certificates, make_certificates
from tests.standins.nat.coturn import LabTurnServer, TurnCredentials, running
from tests.standins.nat.nats import LabNat, LabRules, NatType, add_lab_nat
from voicecore.local.network.namespaces import Namespace, PublicNetwork, public_network

SECRET = "the secret of KVS and its relays"
NAMES = (
    "rtc.live.cloudflare.com",
    "turn.cloudflare.com",
    "api.twilio.com",
    "global.turn.twilio.com",
)
"""Host names in the lab's certificate: TURN providers and their relays."""


@dataclass(frozen=True)
class Side:
    """One side of a call: programs run behind its NAT, and tests change the NAT."""

    nat: LabNat
    trust: Path

    def argv(self, *command: str) -> list[str]:
        """Return `command` as a command that runs behind the NAT."""
        return self.nat.network.inside.argv(*command)

    def run(self, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command behind the NAT; the result has its output."""
        options = {"capture_output": True, "text": True, "timeout": 300, "env": self.env(), **more}
        return subprocess.run(self.argv(*command), **options)

    @contextmanager
    def started(self, *command: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
        """Run a command behind the NAT until the block ends."""
        with subprocess.Popen(
            self.argv(*command), text=True, **{"env": self.env(), **more}
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def resolve(self, names: Mapping[str, str]) -> None:
        """Resolve these host names to these addresses; no other names resolve."""
        resolve(self.nat.network.inside, names)

    def env(self, **more: str) -> dict[str, str]:
        """Return this process's environment, with trust in the lab's certificate."""
        return {**os.environ, "SSL_CERT_FILE": str(self.trust), **more}


@dataclass
class NatLab:
    """Two sides behind NATs; a relay and this machine are on the public network between them."""

    public: PublicNetwork
    agent: Side
    client: Side
    turn: LabTurnServer
    """A relay like those of KVS: its credentials expire."""
    certificates: Certificates
    folder: Path
    _cleanup: ExitStack = field(repr=False)

    def credentials(self, seconds: float = 300, user: str = "lab") -> TurnCredentials:
        """Return credentials for `turn`; negative `seconds` make them expired."""
        # The "TURN REST API" of draft-uberti-behave-turn-rest.
        username = f"{int(time.time() + seconds)}:{user}"
        digest = hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()
        return TurnCredentials(username, base64.b64encode(digest).decode())

    @property
    def silent_address(self) -> str:
        """An address that never answers."""
        return str(self.public.subnet[250])

    def another_turn(
        self, credentials: TurnCredentials | None = None, ahead: int = 0
    ) -> tuple[LabTurnServer, subprocess.Popen[bytes]]:
        """Start one more coturn; return it and its process, which a test may kill.

        With `credentials` it accepts no others; its clock is `ahead` by so many seconds.
        """
        place, address = self.public.add_host(f"turn{len(list(self.folder.iterdir()))}")
        secret = "" if credentials else SECRET
        server = LabTurnServer(address, secret, credentials)
        return server, self._cleanup.enter_context(running(place, server, self.folder, ahead))

    @contextmanager
    def slow_stun(self, seconds: float) -> Iterator[str]:
        """Yield the URI of a STUN server on this machine that answers after `seconds`."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.bind((self.public.gateway, 0))
            thread = threading.Thread(target=_answer_slowly, args=(listening, seconds), daemon=True)
            thread.start()
            yield "stun:{}:{}".format(*listening.getsockname())
            listening.sendto(b"", listening.getsockname())  # an empty packet ends the thread
            thread.join()


@contextmanager
def nat_lab(agent: str = "symmetric", client: str = "cone") -> Iterator[NatLab]:
    """Create the lab (root). Each side is "symmetric", "cone" or "udp-blocked"."""
    require("network namespaces", "coturn")
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="voicecore-nat-")))
        public = cleanup.enter_context(public_network())
        # AgentCore's gateway: session server and runtime, on this machine, reach the agent by HTTP.
        inner = add_lab_nat(public, "agent", replace(_rules(agent), tcp_from=public.gateway))
        outer = add_lab_nat(public, "client", _rules(client))
        place, address = public.add_host("turn")
        certificates = make_certificates(folder, [address, *NAMES])
        # KVS uses port 443, Cloudflare also 53.
        server = LabTurnServer(
            address,
            SECRET,
            certificate=certificates.chain,
            key=certificates.key,
            more_ports=(53, 443),
        )
        cleanup.enter_context(running(place, server, folder))
        trust = certificates.authority
        sides = Side(inner, trust), Side(outer, trust)
        yield NatLab(public, *sides, server, certificates, folder, cleanup)


def resolve(place: Namespace, names: Mapping[str, str]) -> None:
    """Resolve host names to addresses in a namespace, for programs that start from now on."""
    text = "".join(f"{address} {name}\n" for name, address in names.items())
    (Path("/etc/netns") / place.name / "hosts").write_text(text)


def _rules(side: str) -> LabRules:
    if side == "udp-blocked":
        return LabRules(type=NatType.CONE, udp=False)
    return LabRules(type=NatType(side))


def _answer_slowly(listening: socket.socket, seconds: float) -> None:
    while True:
        request, sender = listening.recvfrom(1500)
        if not request:
            return
        time.sleep(seconds)
        # A success response without attributes (RFC 8489, 5).
        listening.sendto(b"\x01\x01\x00\x00" + request[4:20], sender)
