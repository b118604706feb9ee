"""The whole lab of images, as one thing to enter: registries, ECR before one, and an engine.

All of it is in this process and its children; programs see AWS's own host names lead to it.
"""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.requirements import require
from tests.standins.image import network
from tests.standins.image.base import REPOSITORY, TAG, base_storage
from tests.standins.image.ecr import Ecr
from tests.standins.image.gate import PUBLIC, Gate, in_background
from tests.standins.image.registry import Registry, docker_registry
from tests.standins.models.certificates import make_certificates
from tests.standins.models.reach import Reach, hosts_text


@dataclass(frozen=True)
class Registries:
    """Everything but the engine: the base image, a registry to push to, and ECR's gate to it."""

    public: Registry
    """Holds the base image, read-only and without a password."""
    private: Registry
    """What is behind ECR, without ECR: no password, on a loopback port."""
    ecr: Ecr
    gate: Gate
    reach: Reach

    @property
    def base(self) -> str:
        """The base image by name and digest, on a loopback port."""
        return f"{self.public.host}/{REPOSITORY}:{TAG}@{self.public.digest(REPOSITORY, TAG)}"

    @property
    def official(self) -> str:
        """The base image by the name that generated projects give it; needs `argv` and `env`."""
        return f"{PUBLIC}/{REPOSITORY}:{TAG}"

    def argv(self, *command: str) -> list[str]:
        """Returns `command`, to be run so that AWS's host names lead here."""
        return self.reach.argv(*command)

    def env(self) -> Mapping[str, str]:
        """Returns what a program needs to know: credentials, region, ECR's API, whom to trust."""
        return {
            **self.reach.env(),
            "REQUESTS_CA_BUNDLE": str(self.reach.authority),
            "AWS_ENDPOINT_URL_ECR": self.gate.endpoint,
        }


@contextmanager
def registries(ecr: Ecr | None = None) -> Iterator[Registries]:
    """Runs the base's registry, a private one, and ECR before it (root; from the main thread)."""
    require("Docker engine", "base image", "port 443")
    ecr = ecr or Ecr()
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="voicecore-ecr-")))
        public = undo.enter_context(docker_registry(base_storage(), read_only=True))
        private = undo.enter_context(docker_registry(folder / "private"))
        gate = Gate(ecr, private, public)
        certificates = make_certificates(folder, gate.hosts)
        # The internet stays what it is to who trusts the lab, too: PyPI is reached as ever.
        trusted = folder / "trusted.pem"
        machine = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
        trusted.write_bytes(certificates.authority.read_bytes() + Path(machine or "").read_bytes())
        address = undo.enter_context(network.address())
        tls, plain = (socket.create_server((address, port)) for port in (443, 0))
        undo.enter_context(in_background(gate.serving(certificates, tls, plain)))
        hosts = folder / "hosts"
        hosts.write_text(hosts_text(gate.address, gate.hosts))
        yield Registries(public, private, ecr, gate, Reach(ecr.region, ecr.keys, hosts, trusted))
