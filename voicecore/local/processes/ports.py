"""Owns the choice of ports: which are free, and which another voicecore is about to use."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Generator
from contextlib import contextmanager

from voicecore.console.errors import VoicecoreError

_LOOPBACK = "127.0.0.1"
# Below the ports that systems give to connections, from 32768 on Linux and 49152 on macOS: no
# connection takes the port before the process that it is for listens there.
_FREE = range(20_000, 32_768)


class PortInUse(VoicecoreError):
    """Another program listens on the port."""


class PortUnavailable(VoicecoreError):
    """The system does not let this user listen on the port."""


def free_port(host: str = _LOOPBACK) -> int:
    """Return a random free port. Raises PortUnavailable."""
    while not is_free(port := secrets.choice(_FREE), host):
        pass
    return port


@contextmanager
def reserved_port(
    requested: int | None, default: int, tries: int = 100, avoid: int = 0
) -> Generator[int]:
    """Reserve the port `requested`, or else `default` or the first free port above it.

    The port `avoid` counts as in use: the agent will listen on it.
    No other voicecore gets the port until the block ends, even if nothing listens on it yet.
    Raises PortInUse or PortUnavailable.
    """
    first, last = (default, default + tries - 1) if requested is None else (requested, requested)
    for port in range(first, last + 1):
        # The UDP port of the same number is the lock: the system gives it to one process only, and
        # releases it however the process ends.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lock:
            if port != avoid and _binds(lock, port) and is_free(port):
                yield port
                return
    used = f"Port {first} is" if first == last else f"Ports {first} to {last} are all"
    raise PortInUse(
        f"{used} in use.",
        "Stop the other program, or choose other ports:  "
        "voicecore dev --port 8090 --server-port 7870",
    )


def is_free(port: int, host: str = _LOOPBACK) -> bool:
    """Return whether no program listens on the port. Raises PortUnavailable."""
    with socket.socket() as probe:
        # Servers set this too: closed connections on the port do not block it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _binds(probe, port, host)


def _binds(sock: socket.socket, port: int, host: str = _LOOPBACK) -> bool:
    try:
        sock.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        hint = "Choose a port above 1023 with --port or --server-port."
        if error.errno == errno.EADDRNOTAVAIL:
            hint = (
                f"Give the loopback interface its address:  sudo ip addr add {_LOOPBACK}/8 dev lo"
            )
        raise PortUnavailable(
            f"Could not listen on {host}:{port}: {error.strerror}.", hint
        ) from error
    return True
