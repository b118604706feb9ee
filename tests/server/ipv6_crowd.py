"""Connects to a session server from 300 addresses of one IPv6 network; prints how many are served.

`python -m tests.server.ipv6_crowd FOLDER LOG` needs a network namespace in which all addresses of
the network are local.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from pathlib import Path

from tests.server.serving import UNLIMITED, serving

NETWORK = "fd5e:1:2:3::"
SERVER = f"{NETWORK}ffff"
CLIENTS, SERVED = 300, 256


def main() -> None:
    folder, log = map(Path, sys.argv[1:])
    with serving(folder, log, "http://127.0.0.1:9", HOST=SERVER, **UNLIMITED) as server:
        clients = [connect(server.port, f"{NETWORK}{number:x}") for number in range(1, CLIENTS + 1)]
        closed: set[socket.socket] = set()
        deadline = time.monotonic() + 8  # before the server closes connections without a request
        while len(closed) < CLIENTS - SERVED and time.monotonic() < deadline:
            readable, _, _ = select.select([c for c in clients if c not in closed], [], [], 0.1)
            closed.update(readable)
        print(CLIENTS - len(closed))


def connect(port: int, address: str) -> socket.socket:
    client = socket.socket(socket.AF_INET6)
    client.bind((address, 0))
    client.connect((SERVER, port))
    return client


if __name__ == "__main__":
    main()
