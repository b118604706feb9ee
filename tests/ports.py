"""Owns the ports of servers that tests start: no one else gets one before its server has it."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path

# Below the ports that systems choose for connections: from 32768 on Linux, 49152 on macOS.
_PORTS = range(20_000, 32_768)
_LOCKS = Path(tempfile.gettempdir()) / "voicecore-test-ports"


def free_port() -> int:
    """Return a free port that no other test gets until this process ends."""
    _LOCKS.mkdir(exist_ok=True)
    while True:
        port = secrets.choice(_PORTS)
        # Never closed: the lock is held until this process ends.
        lock = os.open(_LOCKS / str(port), os.O_CREAT | os.O_WRONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("", port))
        except OSError:
            os.close(lock)
            continue
        return port
