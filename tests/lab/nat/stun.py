"""Asks STUN servers, from one socket, what they see: prints the address that each one saw, or "-".

A program for the inside of a namespace: python stun.py HOST:PORT …
"""

import os
import socket
import struct
import sys

COOKIE = 0x2112A442  # RFC 8489, 5
XOR_MAPPED_ADDRESS = 0x0020


def ask(sock: socket.socket, host: str, port: int) -> str:
    asked = struct.pack("!HHI", 1, 0, COOKIE) + os.urandom(12)
    sock.sendto(asked, (host, port))
    try:
        answer = sock.recv(1500)
    except OSError:
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


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(0.25)
    for server in sys.argv[1:]:
        host, _, port = server.partition(":")
        print(ask(sock, host, int(port)), flush=True)
