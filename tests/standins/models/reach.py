"""Owns how an unmodified program reaches the stand-ins under AWS's own host names.

Pipecat has the hosts of Nova Sonic and Transcribe in its code, so no endpoint variable changes
them. The program runs in a mount namespace of its own with another /etc/hosts; it uses the normal
network, and nothing on the machine changes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.requirements import require
from tests.standins.models.sigv4 import Keys


@dataclass(frozen=True)
class Reach:
    """Everything that a program needs to use the stand-ins instead of AWS."""

    region: str
    keys: Keys
    hosts_file: Path
    authority: Path

    def argv(self, *command: str) -> list[str]:
        """Return `command` as a command with another /etc/hosts (Linux; root not needed)."""
        require("port 443", "mount namespaces")
        namespace = ["unshare", "--mount"]
        if os.geteuid() != 0:
            namespace += ["--user", "--map-root-user"]
        bind = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return [*namespace, "sh", "-c", bind, str(self.hosts_file), *command]

    def env(self) -> Mapping[str, str]:
        """Return the variables for the program: credentials, region, trusted certificates."""
        return {
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_access_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SSL_CERT_FILE": str(self.authority),
            "AWS_CA_BUNDLE": str(self.authority),
        }


def hosts_text(address: str, hosts: Sequence[str]) -> str:
    """Return an /etc/hosts that resolves `hosts` to `address`."""
    return f"127.0.0.1 localhost\n{address} {' '.join(hosts)}\n"
