"""All registries of the image tests: the base image's, a private one, and ECR in front of it.

They run in this process and its children. Programs run by `Registries.argv` reach them by AWS's
host names.
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
from tests.standins.background import in_background
from tests.standins.image import network
from tests.standins.image.base_image import REPOSITORY, TAG, base_storage
from tests.standins.image.ecr import Ecr
from tests.standins.image.proxy import PUBLIC, RegistryProxy
from tests.standins.image.registry import Registry, docker_registry
from tests.standins.models.certificates import make_certificates
from tests.standins.models.reach import Reach, hosts_text


@dataclass(frozen=True)
class Registries:
    """The base image's registry, a registry to push to, and ECR's proxy for it."""

    public: Registry
    """Read-only registry with the base image; needs no password."""
    private: Registry
    """Registry behind ECR, on a loopback port without a password."""
    ecr: Ecr
    proxy: RegistryProxy
    reach: Reach

    @property
    def base(self) -> str:
        """Base image by name and digest, on a loopback port."""
        return f"{self.public.host}/{REPOSITORY}:{TAG}@{self.public.digest(REPOSITORY, TAG)}"

    @property
    def official(self) -> str:
        """Base image by the name in generated projects; needs `argv` and `env`."""
        return f"{PUBLIC}/{REPOSITORY}:{TAG}"

    def argv(self, *command: str) -> list[str]:
        """Return `command`, run so that AWS's host names lead to these registries."""
        return self.reach.argv(*command)

    def env(self) -> Mapping[str, str]:
        """Return what a program needs: credentials, region, ECR's API, certificate authorities."""
        return {
            **self.reach.env(),
            "REQUESTS_CA_BUNDLE": str(self.reach.authority),
            "AWS_ENDPOINT_URL_ECR": self.proxy.endpoint,
        }


@contextmanager
def run_registries(ecr: Ecr | None = None) -> Iterator[Registries]:
    """Run all registries during the block (root; from the main thread)."""
    require("Docker engine", "base image", "port 443")
    ecr = ecr or Ecr()
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="voicecore-ecr-")))
        public = undo.enter_context(docker_registry(base_storage(), read_only=True))
        private = undo.enter_context(docker_registry(folder / "private"))
        proxy = RegistryProxy(ecr, private, public)
        certificates = make_certificates(folder, proxy.hosts)
        # Programs that trust our authority still trust the machine's, for PyPI.
        trusted = folder / "trusted.pem"
        machine = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
        trusted.write_bytes(certificates.authority.read_bytes() + Path(machine or "").read_bytes())
        address = undo.enter_context(network.extra_address())
        tls, plain = (socket.create_server((address, port)) for port in (443, 0))
        undo.enter_context(in_background(proxy.serving(certificates, tls, plain)))
        hosts = folder / "hosts"
        hosts.write_text(hosts_text(proxy.address, proxy.hosts))
        yield Registries(public, private, ecr, proxy, Reach(ecr.region, ecr.keys, hosts, trusted))
