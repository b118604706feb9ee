"""Ports of this machine: which are free, and which another voicecore is about to listen on."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager

from voicecore.console.errors import VoicecoreError


class PortTaken(VoicecoreError):
    """Another program listens on the port."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, of those that the system gives out."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextmanager
def held_port(wanted: int | None, usual: int, tries: int = 100) -> Generator[int]:
    """The port `wanted`, or else the `usual` one or the first free one above it.

    Until the block ends no other voicecore gets it, though nobody may listen on it for a while
    yet. Raises PortTaken.
    """
    first, last = (usual, usual + tries - 1) if wanted is None else (wanted, wanted)
    for port in range(first, last + 1):
        # The UDP port of that number serves as a lock: the system gives it to one process only,
        # and takes it back however the process ends.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lock:
            if _binds(lock, port) and _is_free(port):
                yield port
                return
    taken = f"Port {first} is" if first == last else f"Ports {first} to {last} are all"
    raise PortTaken(f"{taken} taken.", "Choose another with --port or --server-port.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what is left of connections of before is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _binds(probe, port)


def _binds(sock: socket.socket, port: int) -> bool:
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
