"""Ask STUN servers, all from one socket, and print the address that each one saw, or "-".

Runs inside a namespace: python stun.py HOST:PORT …
"""

import os
import socket
import struct
import sys
import time

COOKIE = 0x2112A442  # RFC 8489, 5
XOR_MAPPED_ADDRESS = 0x0020


def ask(sock: socket.socket, host: str, port: int) -> str:
    request = struct.pack("!HHI", 1, 0, COOKIE) + os.urandom(12)
    answer = exchange(sock, request, (host, port))
    if answer is None:
        return "-"
    at = 20
    while at < len(answer):
        kind, length = struct.unpack_from("!HH", answer, at)
        if kind == XOR_MAPPED_ADDRESS:
            port, address = struct.unpack_from("!HI", answer, at + 6)
            seen = socket.inet_ntoa(struct.pack("!I", address ^ COOKIE))
            return f"{seen}:{port ^ COOKIE >> 16}"
        at += 4 + length + -length % 4
    return "?"


def exchange(sock: socket.socket, request: bytes, server: tuple[str, int]) -> bytes | None:
    """Return the answer to a request; retry as RFC 8489, 6.2.1 says."""
    for seconds in (0.25, 0.5, 1.0):
        sock.sendto(request, server)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                answer = sock.recv(1500)
            except TimeoutError:
                break
            except OSError:  # an ICMP error: the port is closed
                return None
            if answer[4:20] == request[4:]:
                return answer
    return None


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    for server in sys.argv[1:]:
        host, _, port = server.partition(":")
        print(ask(sock, host, int(port)), flush=True)
