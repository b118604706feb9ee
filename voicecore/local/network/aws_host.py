"""Owns `dev --tls`: the local runtime under AWS's own host name, for programs that hard-code it.

Nothing of the machine changes: no line in /etc/hosts, no trusted certificate. The programs that
`.voicecore/tls/run` starts, the session server among them, see another /etc/hosts in a mount
namespace of their own, which ends with them.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from voicecore.console.errors import VoicecoreError
from voicecore.console.network_env import CA_VARIABLES
from voicecore.local.processes.child import Reaper
from voicecore.local.processes.ports import PortInUse, PortUnavailable
from voicecore.project.no_links import refuse_links, within

PORT = 443
# macOS has only the first; on Linux, each runtime takes the first that is free.
ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, 10 if sys.platform == "linux" else 2))
_BACKLOG = 128


@dataclass(frozen=True)
class AwsHost:
    """A listening socket at AWS's name, and the files for the programs that are to reach it."""

    name: str
    address: str
    socket: socket.socket
    context: ssl.SSLContext
    folder: Path
    isolated: bool
    """True when programs can have an /etc/hosts of their own here."""

    @property
    def program(self) -> Path:
        """The program that runs a command for which the name leads to this runtime."""
        return self.folder / "run"

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that make the name lead to this runtime for it."""
        return ("/bin/sh", str(self.program)) if self.isolated else ()

    def instructions(self) -> list[str]:
        """Return how other programs reach the runtime under AWS's name."""
        mine = f"{self.name} leads to this runtime"
        by_hand = (
            f"In a browser: add `{self.address} {self.name}` to /etc/hosts and trust "
            f"{self.folder / 'ca.pem'}; remove both afterwards."
        )
        if self.isolated:
            return [f"{mine} in the session server, and in:  {self.program} COMMAND", by_hand]
        return [f"{mine} on {self.address}, in programs that look it up there.", by_hand]


def aws_host_name(region: str) -> str:
    """Return the host name of AgentCore's data plane."""
    return f"bedrock-agentcore.{region}.amazonaws.com"


@contextmanager
def aws_host(
    local: Path,
    region: str,
    env: Mapping[str, str],
    reaper: Reaper,
    addresses: Sequence[str] = ADDRESSES,
) -> Generator[AwsHost]:
    """Listen under AWS's name; write the files into `local`/tls, which the reaper deletes.

    Raises PortInUse, PortUnavailable or LinkRefused.
    """
    from voicecore.local.network.certificate import make_certificate

    name, folder = aws_host_name(region), local / "tls"
    with _listener(addresses) as listener:
        address = str(listener.getsockname()[0])
        certificate = make_certificate(name)
        refuse_links(folder, local.parent)
        shutil.rmtree(folder, ignore_errors=True)
        reaper.afterwards(["rm", "-rf", str(folder)])
        isolated = _can_isolate()
        hosts = Path("/etc/hosts").read_text(encoding="utf-8", errors="replace")
        files = {
            "ca.pem": certificate.authority.decode(),
            "bundle.pem": _trusted(env) + certificate.authority.decode(),
            "hosts": f"{address} {name}\n{hosts}",
        }
        if isolated:
            files["run"] = run_script(folder, name)
        for file, text in files.items():
            _write(folder / file, text)
        yield AwsHost(name, address, listener, certificate.context, folder, isolated)


def run_script(folder: Path, name: str) -> str:
    """Return the program that runs its arguments as a command for which `name` leads here."""
    bundle, authority = quote(str(folder / "bundle.pem")), quote(str(folder / "ca.pem"))
    exports = "\n".join(f"export {variable}={bundle}" for variable in CA_VARIABLES)
    return (
        "#!/bin/sh\n"
        f"# Runs a command for which {name} is the local runtime of `voicecore dev --tls`.\n"
        f"{exports}\nexport NODE_EXTRA_CA_CERTS={authority}\n"
        f'export no_proxy="$no_proxy,{name}" NO_PROXY="$NO_PROXY,{name}"\n'
        'user=""\n[ "$(id -u)" = 0 ] || user="--user --map-root-user"\n'
        f"exec {' '.join(_UNSHARE)} $user sh -c {quote(_MOUNT)} {quote(str(folder / 'hosts'))} "
        '"$@"\n'
    )


_UNSHARE = ("unshare", "--mount", "--propagation", "private")
_MOUNT = 'mount --bind "$0" /etc/hosts && exec "$@"'


def _can_isolate() -> bool:
    """Return whether this user may have an /etc/hosts of their own here."""
    if sys.platform != "linux" or shutil.which(_UNSHARE[0]) is None:
        return False
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    argv: Sequence[str] = (*_UNSHARE, *user, "sh", "-c", _MOUNT, "/etc/hosts", "true")
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _trusted(env: Mapping[str, str]) -> str:
    """Return the authorities that programs trust without ours."""
    named = next((env[name] for name in CA_VARIABLES if env.get(name)), None)
    path = named or ssl.get_default_verify_paths().cafile
    if not path:
        from botocore.httpsession import (  # pyright: ignore[reportMissingTypeStubs]
            get_cert_path,  # pyright: ignore[reportUnknownVariableType]
        )

        path = str(get_cert_path(True))
    return Path(path).read_text(encoding="utf-8", errors="replace").rstrip() + "\n"


def _write(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8", opener=within(path.parents[2])) as file:
        file.write(text)
    # For the user who called sudo, too; nothing in here is secret.
    path.chmod(0o755 if path.name == "run" else 0o644)


@contextmanager
def _listener(addresses: Sequence[str]) -> Generator[socket.socket]:
    for address in addresses:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, PORT))
                listener.listen(_BACKLOG)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise _unavailable(error) from error
            yield listener
            return
    raise PortInUse(
        f"Port {PORT} is in use, and AWS's URLs lead to no other.",
        f"Stop the program that listens on it:  sudo ss -tlnp 'sport = :{PORT}'\n"
        "or omit --tls:  voicecore dev",
    )


def _unavailable(error: OSError) -> VoicecoreError:
    return PortUnavailable(
        f"Could not listen on port {PORT}, to which AWS's URLs lead: {error.strerror}.",
        'Run as root:  sudo --preserve-env "$(command -v voicecore)" dev --tls\n'
        f"or on Linux allow it once:  sudo sysctl net.ipv4.ip_unprivileged_port_start={PORT}",
    )
